package broker

import (
	"sync/atomic"
	"time"
)

// Histogram is how many durations there were, by length.
type Histogram struct {
	// Bounds are the buckets' upper ones, each included, in their order.
	Bounds []time.Duration
	// Counts has one bucket more, for what is longer than all bounds. A bucket has nothing
	// of those before it.
	Counts []uint64
	// Sum is that of all durations.
	Sum time.Duration
}

// Count is how many durations there were.
func (h Histogram) Count() (n uint64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// histogram makes a Histogram. It is for the way of a message: to observe a duration costs
// two additions. Its methods may be called concurrently.
type histogram struct {
	// Set by newHistogram, never changed.
	bounds []time.Duration

	counts []atomic.Uint64
	sum    atomic.Int64
}

func newHistogram() *histogram {
	bounds := []time.Duration{
		50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		1 * time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	}
	return &histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] { // mostly one of the first
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// addTo adds what was observed to that of others.
func (h *histogram) addTo(all *Histogram) {
	if all.Counts == nil {
		all.Bounds, all.Counts = h.bounds, make([]uint64, len(h.counts))
	}
	for i := range h.counts {
		all.Counts[i] += h.counts[i].Load()
	}
	all.Sum += time.Duration(h.sum.Load())
}

// clock tells how long it has been there. That costs less than time.Now, and takes less room.
type clock struct{ began time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Duration { return time.Since(c.began) }
