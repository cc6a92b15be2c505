package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

// ticksOfDeadline is how many ticks the shorter of the two deadlines has: by so much it is
// late at most.
const ticksOfDeadline = 8

// maxTick and minTick bound a tick.
const (
	minTick = time.Millisecond
	maxTick = time.Second
)

// wheel watches over the deadlines of all connections: a timing wheel with a slot for
// each tick ahead. A connection is looked at when its slot comes up and not before:
// hearing from a peer only notes the tick. Time is counted in ticks that were really
// seen, so a clock that jumps ends nobody, nor does a process that was stopped for a
// while.
type wheel struct {
	// Set by newWheel, never changed.
	tick            time.Duration
	silence, linger int64

	// now counts the ticks. Written by advance, read by anybody.
	now atomic.Int64

	// mu guards the rest, and the timing of every connection. Under it connections are
	// told that their time is up.
	mu    sync.Mutex
	slots [][]*Conn
}

// timing is a connection's place in the wheel. Guarded by wheel.mu.
type timing struct {
	// slot and at are where the wheel has it.
	slot, at int32
	// lingering tells that the deadline is closeBy, else that it moves with what is heard.
	lingering bool
	closeBy   int64
}

func newWheel(silence, linger time.Duration) *wheel {
	tick := max(min(silence, linger, ticksOfDeadline*maxTick)/ticksOfDeadline, minTick)
	w := &wheel{
		tick:    tick,
		silence: int64((silence + tick - 1) / tick),
		linger:  int64((linger + tick - 1) / tick),
	}
	// The slot that is at hand is never put into.
	w.slots = make([][]*Conn, max(w.silence, w.linger)+2)
	return w
}

// run advances until done is closed.
func (w *wheel) run(done <-chan struct{}) {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.advance()
		case <-done:
			return
		}
	}
}

// advance goes on by a tick and ends the connections whose time is up.
func (w *wheel) advance() {
	now := w.now.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := &w.slots[now%int64(len(w.slots))]
	due := *slot
	*slot = nil
	for _, c := range due {
		deadline := w.deadlineLocked(c)
		if deadline > now {
			w.putLocked(c, deadline)
			continue
		}
		// Whatever becomes of it, it is looked at again.
		w.putLocked(c, now+w.linger)
		c.expire()
	}
}

// deadlineLocked is the tick by which the connection has to be heard, or gone. Who has
// nothing to say is never silent.
func (w *wheel) deadlineLocked(c *Conn) int64 {
	if c.timing.lingering {
		return c.timing.closeBy
	}
	heard := w.now.Load()
	if !c.oneWay {
		heard = min(c.heard.Load(), heard)
	}
	// One more, since the tick at which it was heard was not a whole one.
	return heard + w.silence + 1
}

// add begins to watch over a connection.
func (w *wheel) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.heard.Store(w.now.Load())
	w.putLocked(c, w.deadlineLocked(c))
}

// startLinger sets the last deadline of a connection, the first time.
func (w *wheel) startLinger(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.timing.lingering {
		return
	}
	c.timing.lingering = true
	c.timing.closeBy = w.now.Load() + w.linger + 1
	w.takeLocked(c)
	w.putLocked(c, c.timing.closeBy)
}

// remove ends the watch. After it, expire is not called any more.
func (w *wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takeLocked(c)
}

// all gives every connection that is watched over.
func (w *wheel) all() []*Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*Conn
	for _, slot := range w.slots {
		all = append(all, slot...)
	}
	return all
}

func (w *wheel) putLocked(c *Conn, deadline int64) {
	c.timing.slot = int32(deadline % int64(len(w.slots))) //nolint:gosec // a small number
	slot := &w.slots[c.timing.slot]
	c.timing.at = int32(len(*slot)) //nolint:gosec // fewer than there are descriptors
	*slot = append(*slot, c)
}

func (w *wheel) takeLocked(c *Conn) {
	slot := w.slots[c.timing.slot]
	last := len(slot) - 1
	moved := slot[last]
	slot[c.timing.at] = moved
	moved.timing.at = c.timing.at
	slot[last] = nil
	w.slots[c.timing.slot] = slot[:last]
}
