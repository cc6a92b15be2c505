package enginetest

import (
	"runtime"
	"testing"
	"time"

	"fanfare/broker"
)

// testLogStats: what the log holds and what it has lost is told, in a while. An engine may count notes of its
// own besides.
func testLogStats(t *testing.T, engine broker.Engine, _ *Sink) {
	const lost = 2
	const size = 1000
	before := time.Now().Add(time.Second) // of clocks that are not quite the same
	for range perTopic + lost {
		publish(t, engine, "busy", string(make([]byte, size)))
	}
	publish(t, engine, "gone", "1")
	if err := engine.Purge(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	var stats broker.LogStats
	var evicted uint64
	isSo := func() bool {
		var err error
		if stats, err = engine.LogStats(); err != nil {
			t.Fatal(err)
		}
		evicted = 0
		for _, n := range stats.Evictions {
			evicted += n
		}
		return stats.Messages >= perTopic && stats.Topics >= 1 && stats.Bytes >= perTopic*size && evicted >= lost+1
	}
	for end := time.Now().Add(time.Minute); !isSo(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("it does not come to what was published: %+v", stats)
		}
	}
	if history := Generous(); stats.MaxAge != history.MaxAge || stats.MaxBytes <= 0 {
		t.Errorf("the bounds are %v and %d bytes", stats.MaxAge, stats.MaxBytes)
	}
	if stats.Bytes > stats.MaxBytes || stats.Oldest.IsZero() || stats.Oldest.After(before) {
		t.Errorf("%+v", stats)
	}
}
