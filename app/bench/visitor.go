package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"
)

// visitor is a client that comes and goes. It is for one goroutine.
type visitor struct {
	soak  *soak
	index int
	topic *topic

	cursor string // of the last message
	next   int64  // the number of the next one
	// came and left are when the last visit was, before the present one.
	came, left time.Time
}

// visit comes and goes until nothing more is published and the client has all of it.
func (v *visitor) visit(ctx context.Context) error {
	if err := pause(ctx, around(v.soak.stay)); err != nil { // or all would be there at first
		return err
	}
	for !v.isDone() {
		if err := v.come(ctx); err != nil {
			return fmt.Errorf("client %d of %d: %w", v.index+1, len(v.soak.visitors), err)
		}
		if err := pause(ctx, around(v.soak.away)); err != nil {
			return err
		}
		v.soak.returned.Add(1)
	}
	return nil
}

// isDone must ask whether it is over before it asks how much there was.
func (v *visitor) isDone() bool {
	return v.soak.over.Load() && v.next == v.topic.published.Load()
}

// come connects, over a transport of chance, goes on where the client was, and leaves after a while: by
// saying so or not.
func (v *visitor) come(ctx context.Context) error {
	from := sourceAddress(v.index, v.soak.address)
	l, err := v.listen(ctx, from)
	if err != nil {
		return err
	}
	v.soak.connected.Add(1)
	defer v.soak.connected.Add(-1)
	since := time.Now()
	defer func() {
		l.leave(rand.N(2) == 0) //nolint:gosec // no secret
		v.came, v.left = since, time.Now()
	}()
	stay, last := around(v.soak.stay), v.soak.over.Load()
	if last {
		stay = patience // for the rest
	}
	stop := context.AfterFunc(ctx, func() { l.until(time.Now()) })
	defer stop()
	l.until(since.Add(stay))
	for !v.isDone() {
		payload, err := l.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !last:
			return nil
		case err != nil:
			return fmt.Errorf("at message %d of %d, %v after it had come: %w", v.next, v.topic.published.Load(), time.Since(since), err)
		}
		if err := v.take(payload, since); err != nil {
			return err
		}
	}
	return nil
}

// listen connects over one of the transports: 60 of 100 by WebSocket, 20 SSE, 15 NDJSON, 5 long polls.
func (v *visitor) listen(ctx context.Context, from net.Addr) (listener, error) {
	switch n := rand.N(100); { //nolint:gosec // no secret
	case n < 60:
		return listenWebSocket(ctx, v.soak.address, from, v.topic.name, v.cursor)
	case n < 80:
		return listenSSE(ctx, v.soak.address, from, v.topic.name, v.cursor)
	case n < 95:
		return listenNDJSON(ctx, v.soak.address, from, v.topic.name, v.cursor)
	default:
		return listenPoll(ctx, v.soak.address, from, v.topic.name, v.cursor)
	}
}

// take wants the message that is due. Of those that came after the client had connected it measures
// how long they took.
func (v *visitor) take(payload []byte, since time.Time) error {
	m, sent, ok := findStamp(payload)
	if !ok {
		return fmt.Errorf("the server said: %.200s", payload)
	}
	if m.number != v.next {
		return fmt.Errorf("got message %d on %s, and %d was due: messages are lost, repeated or out of order", m.number, v.topic.name, v.next)
	}
	v.next++
	if v.cursor, ok = findID(payload); !ok {
		return fmt.Errorf("a message without an id: %.200s", payload)
	}
	nanoseconds, _ := parseNumber(sent)
	latency := time.Duration(-1)
	at := time.Unix(0, nanoseconds)
	if at.After(since) {
		latency = time.Since(at)
	}
	// To find it in the log afterwards is not enough.
	if at.After(v.came) && at.Before(v.left.Add(-soakLate)) {
		return fmt.Errorf("message %d on %s came with the next visit, and the client was there for %v after it was published", m.number, v.topic.name, v.left.Sub(at))
	}
	v.soak.took(latency)
	return nil
}
