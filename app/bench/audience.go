package bench

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"
)

// connecting is how many connections are made at a time.
const connecting = 64

// topic is one that the load publishes to, of one target.
type topic struct {
	// Set by gather, never changed.
	name   string
	window *window // nil if nobody needs it

	// published counts the messages; who publishes adds to it before.
	published atomic.Int64
}

// audience is the subscribers of one target. They read, each in a goroutine of its own,
// until leave.
type audience struct {
	// Set by gather, never changed.
	topics      []*topic
	subscribers []*subscriber
	// welcomes has what connecting took, until the welcome.
	welcomes *samples

	leaving atomic.Bool
	reading sync.WaitGroup
}

// subscriber is one connection with one subscription.
type subscriber struct {
	// Set by gather, never changed.
	client *client
	topic  *topic

	// received counts messages. What its reader has written besides may be read when it
	// is what was published to the topic.
	received atomic.Int64

	// Owned by its reader.
	next      []int64  // the number of the next message, by publisher
	bytes     int64    // of frames
	latencies *samples // nil if nobody wants them
	lastAt    time.Time
}

// crowd says what an audience is to be like.
type crowd struct {
	name        string // what its topics' names begin with; empty: bench
	subscribers int
	topics      int // the subscribers are spread over them
	publishers  int
	samples     int // how many latencies each subscriber keeps, at most: an even number, or 0
	// window is how many messages the publishers may be ahead of the slowest subscriber of
	// a topic; 0: any number.
	window int
}

// gather connects an audience and subscribes it. The first of its connections that fails
// later calls fail, until leave.
func gather(ctx context.Context, t target, c crowd, fail context.CancelCauseFunc) (*audience, error) {
	a := &audience{
		subscribers: make([]*subscriber, c.subscribers),
		welcomes:    newSamples(maxSamples),
	}
	for i := range c.topics {
		to := &topic{name: fmt.Sprintf("%s.%d", cmp.Or(c.name, "bench"), i)}
		if c.window > 0 {
			to.window = newWindow((c.subscribers-i-1)/c.topics+1, c.window)
		}
		a.topics = append(a.topics, to)
	}
	var mu sync.Mutex // guards a.welcomes
	joining, joiningCtx := errgroup.WithContext(ctx)
	joining.SetLimit(connecting)
	for i := range a.subscribers {
		joining.Go(func() error {
			if joiningCtx.Err() != nil {
				return joiningCtx.Err()
			}
			s := &subscriber{topic: a.topics[i%len(a.topics)], next: make([]int64, c.publishers)}
			if c.samples > 0 {
				s.latencies = newSamples(c.samples)
			}
			begin := time.Now()
			var err error
			if s.client, err = t.connect(joiningCtx, i); err != nil {
				return fmt.Errorf("client %d of %d could not connect: %w", i+1, c.subscribers, err)
			}
			a.subscribers[i] = s
			mu.Lock()
			a.welcomes.add(s.client.frames.at.Sub(begin))
			mu.Unlock()
			if err := s.client.subscribe(t.subscription(s.topic.name)); err != nil {
				return fmt.Errorf("client %d of %d could not subscribe: %w", i+1, c.subscribers, err)
			}
			a.reading.Go(func() {
				if err := s.read(); !a.leaving.Load() {
					fail(fmt.Errorf("subscriber %d of %d: %w", i+1, c.subscribers, err))
				}
			})
			return nil
		})
	}
	if err := joining.Wait(); err != nil {
		a.leave()
		return nil, err
	}
	return a, nil
}

// read takes and checks frames until the connection ends, and tells why.
func (s *subscriber) read() error {
	for {
		f, err := s.client.frames.next()
		if err != nil {
			return err
		}
		switch f.op {
		case ws.OpText:
			err = s.take(f)
		case ws.OpPing:
			err = s.client.pong(f.payload)
		default:
			err = unexpected(f)
		}
		if err != nil {
			return err
		}
	}
}

// take wants the message that is due.
func (s *subscriber) take(f frame) error {
	m, sent, ok := findStamp(f.payload)
	if !ok || m.publisher >= len(s.next) {
		return unexpected(f)
	}
	if want := s.next[m.publisher]; m.number != want {
		return fmt.Errorf("got message %d of publisher %d on %s, and %d was due: messages are lost, repeated or out of order",
			m.number, m.publisher, s.topic.name, want)
	}
	s.next[m.publisher]++
	s.bytes += int64(f.size)
	s.lastAt = s.client.frames.at
	if s.latencies != nil {
		at, ok := parseNumber(sent)
		if !ok {
			return unexpected(f)
		}
		s.latencies.add(time.Duration(s.lastAt.UnixNano() - at))
	}
	count := s.received.Add(1)
	s.topic.window.took(count)
	return nil
}

// complete waits until every subscriber has what was published to its topic.
func (a *audience) complete(ctx context.Context) error {
	missing := func() (count int64, first int) {
		for i, s := range a.subscribers {
			if left := s.topic.published.Load() - s.received.Load(); left != 0 {
				if count == 0 {
					first = i
				}
				count += max(left, -left)
			}
		}
		return count, first
	}
	left, _ := missing()
	for progress := time.Now(); left != 0; {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
		now, first := missing()
		if now != left {
			left, progress = now, time.Now()
		} else if time.Since(progress) > patience {
			s := a.subscribers[first]
			return fmt.Errorf("messages are lost: %s deliveries are missing; subscriber %d of %d got %s of the %s messages on %s",
				grouped(float64(left)), first+1, len(a.subscribers), grouped(float64(s.received.Load())),
				grouped(float64(s.topic.published.Load())), s.topic.name)
		}
	}
	return nil
}

// deliveries counts what all of them got.
func (a *audience) deliveries() (count int64) {
	for _, s := range a.subscribers {
		count += s.received.Load()
	}
	return count
}

// published counts what was published to all topics.
func (a *audience) published() (count int64) {
	for _, t := range a.topics {
		count += t.published.Load()
	}
	return count
}

// frameSize is the mean of the frames received, in bytes. Only after complete.
func (a *audience) frameSize() int {
	var bytes, count int64
	for _, s := range a.subscribers {
		bytes += s.bytes
		count += s.received.Load()
	}
	return int((bytes + count/2) / max(count, 1))
}

// latencies is from publishing to receiving, if the crowd keeps samples. Only after
// complete.
func (a *audience) latencies() distribution {
	var all []*samples
	for _, s := range a.subscribers {
		if s.latencies != nil {
			all = append(all, s.latencies)
		}
	}
	return pool(all)
}

// lastAt is when the last message reached the last subscriber. Only after complete.
func (a *audience) lastAt() (at time.Time) {
	for _, s := range a.subscribers {
		if s.lastAt.After(at) {
			at = s.lastAt
		}
	}
	return at
}

// leave closes all connections at once. To leave again changes nothing.
func (a *audience) leave() {
	if a.leaving.Swap(true) {
		return
	}
	for _, s := range a.subscribers {
		if s != nil {
			_ = s.client.socket.Close()
		}
	}
	a.reading.Wait()
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
