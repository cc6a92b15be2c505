package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"fanfare/models"
)

const (
	// closeSpread is the time between the closes of two clients at shutdown, so that
	// not all of them come back at the same moment.
	closeSpread = 100 * time.Microsecond
	// closeBurst is how many clients are closed between two looks at the clock.
	closeBurst = 32
	// untilPause is how often until looks whether what it waits for has happened.
	untilPause = 5 * time.Millisecond
)

// Close refuses new work, waits for the calls under way and for what they have put into
// the log, closes every client with CloseGoingAway behind all that it is still due,
// waits for the clients to leave, and ends the engine. The waits for calls and log take
// half each of the time that is left to ctx, the closes are spread over a third of it at
// most. What took too long is in the error; clients left over are their owners' to
// remove. Close is called once.
func (p *PubSub) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.dispatcher.presence.close()

	err := errors.Join(p.awaitCalls(ctx), p.awaitDelivery(ctx), p.closeClients(ctx), p.endReading(), p.node.close(), p.engine.Close())
	// The shards come last: as long as they take, the engine cannot be stuck in Admit.
	p.stopShards()
	for _, s := range p.shards {
		if err == nil {
			err = wait(ctx, s.stopped)
		}
	}
	return err
}

// stopShards has the shards end when their last clients have left.
func (p *PubSub) stopShards() {
	for _, s := range p.shards {
		s.stop()
	}
}

// awaitCalls waits until no publish is under way any more.
func (p *PubSub) awaitCalls(ctx context.Context) error {
	ctx, cancel := halfOf(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		p.calls.Wait()
		close(ended)
	}()
	return explain("publishers are still waiting for an answer", wait(ctx, ended))
}

// awaitDelivery waits until the shards have what is in the log, if anybody listens. An engine
// that is away is not waited for.
func (p *PubSub) awaitDelivery(ctx context.Context) error {
	following := p.dispatcher.following
	following.close()
	if !following.isOn() {
		return nil
	}
	position, err := p.engine.Position(ctx)
	if err != nil {
		return nil
	}
	ctx, cancel := halfOf(ctx)
	defer cancel()
	return explain("the engine has not delivered all of the log", until(ctx, func() bool {
		delivered := p.dispatcher.delivered()
		return delivered.Epoch == position.Epoch && delivered.Sequence >= position.Sequence
	}))
}

func (p *PubSub) closeClients(ctx context.Context) error {
	var clients []*Client
	p.clients.each("", "", func(_ string, c *Client) bool {
		clients = append(clients, c)
		return true
	})
	pause := closeSpread
	if deadline, ok := ctx.Deadline(); ok && len(clients) > 0 {
		pause = min(pause, time.Until(deadline)/3/time.Duration(len(clients)))
	}
	for i, c := range clients {
		p.disconnect(c, models.CloseGoingAway)
		if i%closeBurst == closeBurst-1 {
			time.Sleep(closeBurst * pause)
		}
	}
	return explain("some clients have not left", until(ctx, func() bool {
		left := false
		p.clients.each("", "", func(string, *Client) bool {
			left = true
			return false
		})
		return !left
	}))
}

// endReading ends the reads that are under way for replays.
func (p *PubSub) endReading() error {
	p.reader.close()
	return nil
}

// halfOf gives a context with half of the time that is left to ctx.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// explain says what it was that took too long.
func explain(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// until waits until done is true or ctx ends.
func until(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(untilPause)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
