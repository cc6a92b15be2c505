package broker

import (
	"slices"
	"testing"
	"time"

	"fanfare/models"
)

// TestHistogram: every duration is in one bucket, whose bound it does not exceed.
func TestHistogram(t *testing.T) {
	h, other := newHistogram(), newHistogram()
	want := Histogram{Bounds: h.bounds, Counts: make([]uint64, len(h.bounds)+1)}
	for i, bound := range h.bounds {
		if i > 0 && bound <= h.bounds[i-1] {
			t.Fatalf("the bounds do not rise: %v", h.bounds)
		}
		h.observe(bound)
		other.observe(bound + 1)
		want.Counts[i]++
		want.Counts[i+1]++
		want.Sum += 2*bound + 1
	}
	h.observe(0)
	want.Counts[0]++
	var got Histogram
	h.addTo(&got)
	other.addTo(&got)
	if !slices.Equal(got.Counts, want.Counts) || got.Sum != want.Sum || got.Count() != uint64(2*len(h.bounds)+1) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestFanOutEndsWithTheLastShard: a message's fan-out is over when the last shard has offered it to its
// clients, and is counted once.
func TestFanOutEndsWithTheLastShard(t *testing.T) {
	one, other := newRig(t, 1<<20), newRig(t, 1<<20)
	other.shard.clock = clock{time.Now().Add(-time.Minute)}
	d := &delivery{message: &models.Message{ID: models.ID{Epoch: "e", Sequence: 1}, Topic: "a"}}
	d.waiting.Store(3) // it was not admitted, so nothing is given back
	d.offering.Store(2)
	fanOuts := func() (n uint64, sum time.Duration) {
		var all Histogram
		one.shard.stats.fanOut.addTo(&all)
		other.shard.stats.fanOut.addTo(&all)
		return all.Count(), all.Sum
	}
	for step, do := range []func(){
		func() { one.shard.deliver(d) },
		func() { other.shard.deliver(d) },
		one.shard.rounds,
		one.shard.rounds,
	} {
		do()
		if n, _ := fanOuts(); n != 0 {
			t.Fatalf("it is over with step %d", step)
		}
	}
	other.shard.rounds()
	other.shard.rounds()
	if n, sum := fanOuts(); n != 1 || sum < time.Minute {
		t.Errorf("%d fan-outs of %v", n, sum)
	}
}
