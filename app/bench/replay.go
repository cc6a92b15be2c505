package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"
)

const (
	// replayClients is how many have the past replayed to them at a time, and
	// replayListeners how many listen live meanwhile.
	replayClients   = 100
	replayListeners = 100
	// The past is so many messages in so many topics, which a server retains by default.
	pastMessages = 10_000
	pastTopics   = 10
	// pastAtATime is how many messages of the past are published at a time.
	pastAtATime = 100
)

// replay compares what live listeners see while nothing else happens with what they see
// beside many replays.
func (r *runner) replay(ctx context.Context) (err error) {
	clients, rate, dataSize := r.clients(replayClients), r.options.Rate, r.options.dataSize()
	count := max(1, int(math.Round(rate*r.options.Duration.Seconds())))
	if err := checkFiles(2*(replayListeners+1) + clients); err != nil {
		return err
	}
	s, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	since, err := makePast(ctx, s.address, dataSize)
	if err != nil {
		return err
	}
	resumers, err := r.start(ctx, r.environ, ReplayCommand, r.loadCore())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resumers.stop()) }()

	var alone, beside *side
	for name, listeners := range map[string]**side{"alone": &alone, "beside": &beside} {
		side, err := r.newSide(ctx, name, s, crowd{
			name: "bench." + name, subscribers: replayListeners, topics: 1, publishers: 1, samples: share(replayListeners),
		})
		if err != nil {
			return err
		}
		defer side.leave()
		if err := side.publishBy(ctx, 1, dataSize, s.address, dialWebSocketPost); err != nil {
			return err
		}
		*listeners = side
	}
	live := func(ctx context.Context, s *side) error {
		return pace(ctx, rate, count, func() error { return s.publishers[0].publish(ctx, 1) })
	}
	var replayed []float64
	alone.traffic = func(ctx context.Context) error { return live(ctx, alone) }
	beside.traffic = func(ctx context.Context) error {
		var total float64
		all, ctx := errgroup.WithContext(ctx)
		all.Go(func() error { return live(ctx, beside) })
		all.Go(func() error {
			answer, err := resumers.order(fmt.Sprint(orderReplay, " ", s.address, " ", since, " ", clients, " ", r.options.Duration.Nanoseconds()))
			if err == nil {
				_, err = fmt.Sscan(answer, &total)
			}
			return err
		})
		err := all.Wait()
		replayed = append(replayed, total)
		return err
	}
	for range r.options.Rounds {
		if err := alone.round(ctx); err != nil {
			return err
		}
		if err := beside.round(ctx); err != nil {
			return err
		}
	}

	t := &table{}
	t.add("live messages", "receipt after p50", "p90", "p99", "p99.9", "max", "replayed/s", "server CPU per replayed message")
	t.add(append(append([]string{"alone"}, latencyCells(alone.audience.latencies())...), "", "")...)
	t.add(append(append([]string{"beside replays"}, latencyCells(beside.audience.latencies())...),
		spreadOf(ratios(replayed, beside.seconds)).cell(grouped), spreadOf(ratios(beside.cpu, replayed)).cell(inMicroseconds))...)
	return r.print(t, fmt.Sprintf("%d listeners to one topic, %s messages/s; beside them %s clients that come back, again and again, from before %s messages of %d topics; frames of %d bytes; %s.",
		replayListeners, digits(rate), grouped(float64(clients)), grouped(pastMessages), pastTopics, beside.audience.frameSize(), r.effort(beside)))
}

// makePast publishes what is replayed later, and gives the cursor of before it.
func makePast(ctx context.Context, address string, dataSize int) (since string, err error) {
	since, err = currentPosition(ctx, address)
	if err != nil {
		return "", err
	}
	past := &audience{}
	for i := range pastTopics {
		past.topics = append(past.topics, &topic{name: fmt.Sprintf("bench.past.%d", i)})
	}
	post, err := dialWebSocketPost(ctx, address)
	if err != nil {
		return "", err
	}
	defer post.close()
	p := newPublisher(0, past, post, dataSize)
	for range pastMessages / pastAtATime {
		if err := p.publish(ctx, pastAtATime); err != nil {
			return "", err
		}
	}
	return since, nil
}

// currentPosition gives the cursor of whatever is published from now on.
func currentPosition(ctx context.Context, address string) (since string, err error) {
	c, err := dialWebSocket(ctx, address, nil)
	if err != nil {
		return "", err
	}
	defer c.socket.Close() //nolint:errcheck // it is not needed any more
	_ = c.socket.SetDeadline(time.Now().Add(patience))
	if _, err := c.socket.Write(appendRequest(nil, ws.OpText, []byte(`{"action":"subscribe","topic":"bench.past"}`))); err != nil {
		return "", err
	}
	f, err := c.frames.next()
	if err != nil {
		return "", err
	}
	since, found := findID(f.payload)
	if !found {
		return "", unexpected(f)
	}
	return since, nil
}

// orderReplay is the order to have the past replayed: a server's address, the cursor, how
// many clients do so at a time, and for how many nanoseconds. The answer counts the messages.
const orderReplay = "replay"

// RunReplays has the past of servers replayed to it, until there are no more orders on in.
// The answers go to out. It is a process of its own with a low priority, so that those who
// listen live beside it do not wait for it: what they wait for is the server.
func RunReplays(ctx context.Context, in io.Reader, out io.Writer) error {
	yieldToOthers()
	return attend(in, out, "-", func(order string) (string, error) {
		var word, address, since string
		var clients int
		var duration time.Duration
		if _, err := fmt.Sscan(order, &word, &address, &since, &clients, (*int64)(&duration)); err != nil || word != orderReplay {
			return "", fmt.Errorf("unknown order %q", order)
		}
		count, err := resumeAll(ctx, address, since, clients, duration)
		return fmt.Sprintln(count), err
	})
}

// resumeAll has the past replayed to so many clients, again and again, and counts its
// messages.
func resumeAll(ctx context.Context, address, since string, clients int, duration time.Duration) (count int64, err error) {
	var total atomic.Int64
	end := time.Now().Add(duration)
	all, ctx := errgroup.WithContext(ctx)
	for i := range clients {
		all.Go(func() error {
			c, err := dialWebSocket(ctx, address, sourceAddress(i, address))
			if err != nil {
				return err
			}
			defer c.socket.Close() //nolint:errcheck // it is not needed any more
			for time.Now().Before(end) {
				if err := c.resume(since); err != nil {
					return err
				}
				total.Add(pastMessages)
			}
			return nil
		})
	}
	err = all.Wait()
	return total.Load(), err
}

// resume has the past replayed once. It fails if a message is missing, or not in its place.
func (c *client) resume(since string) error {
	request := appendRequest(nil, ws.OpText, fmt.Appendf(nil, `{"action":"subscribe","topic":"bench.past.*","since":%q}`, since))
	_ = c.socket.SetDeadline(time.Now().Add(patience))
	if _, err := c.socket.Write(request); err != nil {
		return err
	}
	if err := c.await(`"recovered":true`); err != nil {
		return err
	}
	for n := int64(0); ; n++ {
		f, err := c.frames.next()
		if err != nil {
			return err
		}
		m, _, ok := findStamp(f.payload)
		switch {
		case ok && m.number == n/pastTopics:
		case n == pastMessages && bytes.Contains(f.payload, []byte(`"type":"caught_up"`)):
			return nil
		default:
			return fmt.Errorf("after %d messages of a replay: %w", n, unexpected(f))
		}
	}
}
