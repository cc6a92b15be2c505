package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// restingEngine delivers nothing while it rests.
type restingEngine struct {
	*broker.Memory
	sink broker.Sink

	mu              sync.Mutex
	follows, rests  int
	following, away bool
}

func (e *restingEngine) Start(ctx context.Context, sink broker.Sink) error {
	e.sink = sink
	return e.Memory.Start(ctx, restingSink{e})
}

func (e *restingEngine) Follow(ctx context.Context) (models.ID, error) {
	time.Sleep(time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return models.ID{}, models.Errorf(models.CodeEngineUnavailable, "away")
	}
	e.follows++
	e.following = true
	return e.Position(ctx)
}

func (e *restingEngine) Rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rests++
	e.following = false
}

// counts gives how often it began and ended.
func (e *restingEngine) counts() (follows, rests int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.follows, e.rests
}

type restingSink struct{ e *restingEngine }

func (s restingSink) Admit(ctx context.Context, batch broker.Batch) error {
	return s.e.sink.Admit(ctx, batch)
}
func (s restingSink) Dismiss(batch broker.Batch)           { s.e.sink.Dismiss(batch) }
func (s restingSink) Subscriptions(topic models.Topic) int { return s.e.sink.Subscriptions(topic) }
func (s restingSink) Deliver(batch broker.Batch) int {
	s.e.mu.Lock()
	following := s.e.following
	s.e.mu.Unlock()
	if !following {
		s.e.sink.Dismiss(batch)
		return 0
	}
	return s.e.sink.Deliver(batch)
}

// TestEngineRests while nobody is subscribed, and some time after, and whoever comes then misses nothing and is
// told of no gap.
func TestEngineRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &restingEngine{Memory: broker.NewMemory(enginetest.Generous())}
		s := startOver(t, engine, defaults())
		want := func(follows, rests int) {
			t.Helper()
			synctest.Wait()
			if f, r := engine.counts(); f != follows || r != rests {
				t.Errorf("it followed %d times and rested %d times, want %d and %d", f, r, follows, rests)
			}
		}
		s.publish("a", "0")
		want(0, 0)
		conn := newPipe(t)
		c := s.connect(conn)
		conn.want("welcome")
		want(0, 0)
		s.subscribe(c, "a")
		if ack := conn.want("ack"); ack.ID.Sequence != 1 {
			t.Errorf("it begins at %v", ack.ID)
		}
		want(1, 0)
		s.subscribe(c, "b")
		conn.want("ack")
		s.publish("a", "1")
		conn.want("message")
		s.unsubscribe(c, "a", "b")
		conn.want("ack")
		time.Sleep(4 * time.Second)
		s.subscribe(c, "a") // in time
		conn.want("ack")
		time.Sleep(time.Minute)
		want(1, 0)
		s.RemoveClient(c, models.CloseAbnormal)
		time.Sleep(6 * time.Second)
		want(1, 1)
		s.publish("a", "2")

		conn = newPipe(t)
		c = s.connect(conn)
		conn.want("welcome")
		var subscribing sync.WaitGroup
		for _, pattern := range []models.Pattern{"a", "b", "c.>"} {
			subscribing.Go(func() { s.subscribe(c, pattern) })
		}
		subscribing.Wait()
		for range 3 {
			if ack := conn.want("ack"); ack.ID.Sequence != 3 {
				t.Errorf("it begins at %v", ack.ID)
			}
		}
		want(2, 1)
		s.publish("a", "3")
		if m := conn.want("message"); m.ID.Sequence != 4 {
			t.Errorf("%v came", m.ID)
		}
		s.RemoveClient(c, models.CloseAbnormal)
		time.Sleep(6 * time.Second)
		want(2, 2)
	})
}

// TestNothingToFollow: while the log is away the first subscription fails, and leaves nothing behind.
func TestNothingToFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &restingEngine{Memory: broker.NewMemory(enginetest.Generous()), away: true}
		s := startOver(t, engine, defaults())
		conn := newPipe(t)
		c := s.connect(conn)
		conn.want("welcome")
		subscribe := func(patterns ...models.Pattern) error {
			return s.Subscribe(t.Context(), models.Caller{}, c, patterns, models.SubscribeOptions{}, models.Ack{Type: "ack"})
		}
		if err := subscribe("a"); models.AsError(err).Code != models.CodeEngineUnavailable {
			t.Errorf("away: %v", err)
		}
		engine.mu.Lock()
		engine.away = false
		engine.mu.Unlock()
		if err := subscribe(many(defaults().Subscriptions + 1)...); models.AsError(err).Code != models.CodeTooManySubscriptions {
			t.Errorf("too many: %v", err)
		}
		if err := subscribe("a"); err != nil {
			t.Error(err)
		}
		conn.want("ack")
		if err := subscribe(many(defaults().Subscriptions)...); models.AsError(err).Code != models.CodeTooManySubscriptions {
			t.Errorf("too many in all: %v", err)
		}
		s.RemoveClient(c, models.CloseAbnormal)
		time.Sleep(6 * time.Second)
		if follows, rests := engine.counts(); follows != 1 || rests != 1 {
			t.Errorf("it followed %d times and rested %d times", follows, rests)
		}
	})
}

// many gives so many patterns.
func many(n int) (patterns []models.Pattern) {
	for i := range n {
		patterns = append(patterns, models.Pattern(fmt.Sprint("p.", i)))
	}
	return patterns
}

// absent is an engine whose log does not answer: Follow fails after a patience, as with a NATS server that is
// connected and has no leader.
type absent struct {
	*broker.Memory
	patience time.Duration
}

func (e absent) Follow(context.Context) (models.ID, error) {
	time.Sleep(e.patience)
	return models.ID{}, &models.Error{Code: models.CodeEngineUnavailable}
}

// TestSubscribersWaitTogether: that the log does not answer one who subscribes does not have others wait so much
// longer, nor Close.
func TestSubscribersWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience, clients = 200 * time.Millisecond, 20
		p, err := broker.New(t.Context(), absent{broker.NewMemory(enginetest.Generous()), patience}, defaults())
		if err != nil {
			t.Fatal(err)
		}
		s := &service{p, t}
		began := time.Now()
		var subscribing sync.WaitGroup
		for range clients {
			c := s.connect(newPipe(t))
			subscribing.Go(func() {
				_ = s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.SubscribeOptions{}, models.Ack{Type: "ack"})
			})
		}
		time.Sleep(patience / 2)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		closing := time.Now()
		_ = p.Close(ctx) // some clients have not left
		if time.Since(closing) > 2*patience {
			t.Errorf("Close took %v, with a deadline of %v", time.Since(closing), patience)
		}
		subscribing.Wait()
		if time.Since(began) > 3*patience {
			t.Errorf("the last of %d clients was answered after %v", clients, time.Since(began))
		}
	})
}
