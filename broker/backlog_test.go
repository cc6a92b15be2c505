package broker

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"fanfare/models"
)

// tickingConn has the next tick of the heartbeat come while it is written to.
type tickingConn struct {
	valve
	ticks chan time.Time
}

func (c *tickingConn) Write(b []byte, room func()) (int, error) {
	select {
	case c.ticks <- time.Time{}:
	default:
	}
	return c.valve.Write(b, room)
}

// TestHeartbeatsGoOnInABacklog: they do not wait for a shard to have done all that it has
// taken at once, or healthy clients would be silent for too long.
func TestHeartbeatsGoOnInABacklog(t *testing.T) {
	const batches = 20
	r := newRig(t, 1<<20)
	conn := &tickingConn{ticks: make(chan time.Time, 1)}
	conn.open(1 << 30)
	r.client.conn = conn
	r.shard.ticks = conn.ticks
	// One slot: every tick is everybody's turn.
	r.shard.heartbeat = newHeartbeat(minTick)
	r.shard.heartbeat.add(r.client)
	var events []event
	for range batches * batchSize {
		events = append(events, event{apply: func(*shard) { r.pong() }})
	}
	r.shard.applyAll(events)
	if pings := strings.Count(conn.taken.String(), "ping\n"); pings < batches-2 {
		t.Errorf("%d pings in %d batches", pings, batches)
	}
}

// TestAppliedEventsAreLetGo: a message is not kept until the last that was taken with it
// is applied.
func TestAppliedEventsAreLetGo(t *testing.T) {
	r := newRig(t, 1<<20)
	seen, first := r.weakEvent()
	kept := false
	r.shard.applyAll([]event{first, {apply: func(*shard) {
		runtime.GC()
		kept = seen.Value() != nil
	}}})
	if kept {
		t.Error("a message that was delivered is still there")
	}
}

// weakEvent gives the delivery of a message that nobody else holds.
func (r *rig) weakEvent() (weak.Pointer[models.Message], event) {
	r.t.Helper()
	m := &models.Message{ID: models.ID{Epoch: "e", Sequence: 1}, Topic: "a", Data: []byte("1")}
	if err := r.shard.budget.take(r.t.Context(), Batch{Messages: []*models.Message{m}}); err != nil {
		r.t.Fatal(err)
	}
	d := &delivery{message: m}
	d.waiting.Store(1)
	return weak.Make(m), event{delivery: d}
}

// TestWorkIsBounded: a message to so many subscriptions that the shards have enough to do
// is let in, and the next waits until they have done it.
func TestWorkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Minute
		b := newBudget(1<<20, patience)
		batch := Batch{Messages: []*models.Message{{Data: []byte("1")}}}
		if err := b.take(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		b.begin(2 * maxWork)
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- b.take(context.Background(), batch) }()
		}
		synctest.Wait()
		if len(results) > 0 {
			t.Fatal("somebody did not wait")
		}
		b.done(2 * maxWork)
		synctest.Wait()
		if len(results) != 2 || <-results != nil || <-results != nil {
			t.Fatal("they are not let in")
		}

		b.begin(maxWork + 1)
		begin := time.Now()
		err := b.take(t.Context(), batch)
		if models.AsError(err).Code != models.CodeOverloaded || time.Since(begin) != patience {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		b.done(1)
		if err := b.take(t.Context(), batch); err != nil {
			t.Errorf("with all the work that there may be: %v", err)
		}
	})
}

// TestDisconnectIsQueuedOnce: who asks for it again and again does not fill the queue.
func TestDisconnectIsQueuedOnce(t *testing.T) {
	r := newRig(t, 1<<20)
	p := &PubSub{}
	for range 100 {
		p.disconnect(r.client, models.CloseDisconnected)
	}
	if events := r.shard.queue.take(nil); len(events) != 1 {
		t.Errorf("%d events are queued", len(events))
	}
}
