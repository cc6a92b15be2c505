package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

func TestMemoryEngine(t *testing.T) {
	enginetest.Run(t, enginetest.Doubts{}, func(_ *testing.T, history broker.History) broker.Engine { return broker.NewMemory(history) })
}

func TestUnrulyEngineKeepsTheContract(t *testing.T) {
	enginetest.Run(t, enginetest.Doubts{}, func(_ *testing.T, history broker.History) broker.Engine { return enginetest.NewUnruly(1, history) })
}

// startMemory gives a running engine that is closed with the test.
func startMemory(t *testing.T, history broker.History) *broker.Memory {
	t.Helper()
	m := broker.NewMemory(history)
	if err := m.Start(t.Context(), enginetest.NewSink(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func publishTo(t *testing.T, m *broker.Memory, topic models.Topic, data string) models.ID {
	t.Helper()
	receipt, err := m.Publish(t.Context(), models.Draft{Topic: topic, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.ID
}

// retained gives the data of what is retained after a place, and whether that is all.
func retained(t *testing.T, m *broker.Memory, pattern models.Pattern, after models.ID) (data []string, complete bool) {
	t.Helper()
	end, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stretch, err := m.Read(t.Context(), broker.Query{Patterns: []models.Pattern{pattern}, After: after, UpTo: end, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range stretch.Messages {
		data = append(data, string(message.Data))
	}
	return data, stretch.Follows(after)
}

func TestMemoryBoundsATopic(t *testing.T) {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 3
	m := startMemory(t, history)
	quiet := publishTo(t, m, "quiet", "0")
	var ids []models.ID
	for i := range 100 {
		ids = append(ids, publishTo(t, m, "busy", fmt.Sprint(i)))
	}
	for name, c := range map[string]struct {
		after    models.ID
		complete bool
	}{
		"all that is left was seen": {ids[99], true},
		"nothing removed since":     {ids[96], true},
		"one removed since":         {ids[95], false},
		"before the first":          {quiet, false},
	} {
		data, complete := retained(t, m, "busy", c.after)
		if complete != c.complete || (!complete && !cmp.Equal(data, []string{"97", "98", "99"})) {
			t.Errorf("%s: complete %v, %q", name, complete, data)
		}
	}
	if data, complete := retained(t, m, "quiet", models.ID{Epoch: quiet.Epoch}); !complete || len(data) != 1 {
		t.Errorf("another topic: complete %v, %q", complete, data)
	}
	if _, complete := retained(t, m, ">", models.ID{Epoch: quiet.Epoch}); complete {
		t.Error("a pattern over a topic that lost messages is complete")
	}
}

func TestMemoryBoundsItsSize(t *testing.T) {
	history := enginetest.Generous()
	history.MaxBytes = 100_000
	m := startMemory(t, history)
	start, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := fmt.Sprintf("%0*d", 1000, 1)
	for i := range 1000 {
		publishTo(t, m, models.Topic(fmt.Sprintf("t.%d", i)), large)
	}
	data, complete := retained(t, m, ">", start)
	if complete || len(data) == 0 || len(data) > 100 {
		t.Errorf("complete %v, %d messages of 1,000 bytes in 100,000", complete, len(data))
	}
	if _, complete := retained(t, m, "t.0", start); complete {
		t.Error("a topic that was forgotten altogether is complete")
	}
	topics, err := m.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10_000}})
	if err != nil || len(topics) != len(data) {
		t.Errorf("%d topics with %d messages, %v", len(topics), len(data), err)
	}
	publishTo(t, m, "t.0", "1")
	if _, complete := retained(t, m, "t.0", start); complete {
		t.Error("a topic that was forgotten and came back is complete")
	}
	// A message that is larger than the log goes at once, and is remembered as gone.
	before, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publishTo(t, m, "huge", fmt.Sprintf("%0*d", 200_000, 1))
	if data, complete := retained(t, m, ">", before); complete || len(data) != 0 {
		t.Errorf("after a message larger than the log: complete %v, %d messages", complete, len(data))
	}
}

// TestMemoryCountsAttributes: what a message carries beside its data takes room in the log like these.
func TestMemoryCountsAttributes(t *testing.T) {
	history := enginetest.Generous()
	history.MaxBytes = 100_000
	m := startMemory(t, history)
	start, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	event := fmt.Appendf(nil, `{"specversion":"1.0","id":"1","source":"/s","type":"%0*d"}`, 5000, 1)
	for range 100 {
		draft := models.Draft{Topic: "a", Data: []byte("1"), Attributes: models.NewAttributes("", "", event)}
		if _, err := m.Publish(t.Context(), draft); err != nil {
			t.Fatal(err)
		}
	}
	if data, complete := retained(t, m, "a", start); complete || len(data) == 0 || len(data) > 20 {
		t.Errorf("complete %v, %d messages of 5,000 bytes in 100,000", complete, len(data))
	}
}

func TestMemoryBoundsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		history := enginetest.Generous()
		history.MaxAge = time.Minute
		m := startMemory(t, history)
		for i := range 1000 {
			publishTo(t, m, models.Topic(fmt.Sprintf("t.%d", i)), "1")
		}
		time.Sleep(30 * time.Second)
		young := publishTo(t, m, "young", "2")
		time.Sleep(45 * time.Second)
		// Nothing is published, and the old ones go all the same.
		topics, err := m.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10_000}})
		if err != nil || len(topics) != 1 || topics[0].LastID != young {
			t.Errorf("topics after the age: %v, %v", topics, err)
		}
		if _, complete := retained(t, m, "t.1", models.ID{Epoch: young.Epoch}); complete {
			t.Error("what grew too old is complete")
		}
		if _, complete := retained(t, m, ">", models.ID{Epoch: young.Epoch, Sequence: young.Sequence - 1}); !complete {
			t.Error("nothing was removed after this place")
		}
	})
}

// TestMemoryEndsAStretchAtItsSize: a stretch has some data and not more, but one message
// whatever its size.
// TestMemoryCountsEvictions: each message that goes is counted once, by why it goes.
func TestMemoryCountsEvictions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		history := enginetest.Generous()
		history.MaxMessagesPerTopic = 10
		history.MaxAge = time.Minute
		history.MaxBytes = 20_000
		m := startMemory(t, history)
		check := func(what string, messages, topics int64, want map[broker.Eviction]uint64) {
			t.Helper()
			stats, err := m.LogStats()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, stats.Evictions); diff != "" || stats.Messages != messages || stats.Topics != topics {
				t.Errorf("%s: %d messages of %d topics, evictions (-want +got):\n%s", what, stats.Messages, stats.Topics, diff)
			}
			if stats.Oldest.IsZero() != (messages == 0) || stats.Bytes > stats.MaxBytes {
				t.Errorf("%s: %+v", what, stats)
			}
		}
		check("at the start", 0, 0, map[broker.Eviction]uint64{"age": 0, "messages_per_topic": 0, "bytes": 0, "purge": 0})
		for range 13 {
			publishTo(t, m, "a", "1")
		}
		publishTo(t, m, "b", "1")
		check("of a topic", 11, 2, map[broker.Eviction]uint64{"age": 0, "messages_per_topic": 3, "bytes": 0, "purge": 0})
		if err := m.Purge(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		check("of a purge", 1, 1, map[broker.Eviction]uint64{"age": 0, "messages_per_topic": 3, "bytes": 0, "purge": 10})
		publishTo(t, m, "c", fmt.Sprintf("%0*d", 17_500, 1))
		check("of the size", 1, 1, map[broker.Eviction]uint64{"age": 0, "messages_per_topic": 3, "bytes": 1, "purge": 10})
		time.Sleep(2 * time.Minute)
		check("of the age", 0, 0, map[broker.Eviction]uint64{"age": 1, "messages_per_topic": 3, "bytes": 1, "purge": 10})
	})
}

func TestMemoryEndsAStretchAtItsSize(t *testing.T) {
	const size = 256 << 10
	m := startMemory(t, enginetest.Generous())
	start, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{size / 2, size / 4, size / 2, 2 * size, 1, 1, size}
	for i, n := range sizes {
		publishTo(t, m, models.Topic(fmt.Sprintf("t.%d", i%2)), string(bytes.Repeat([]byte("1"), n)))
	}
	end, err := m.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got [][]int
	for at := start; at != end; {
		stretch, err := m.Read(t.Context(), broker.Query{Patterns: []models.Pattern{">"}, After: at, UpTo: end, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		var page []int
		for _, message := range stretch.Messages {
			page = append(page, len(message.Data))
		}
		got = append(got, page)
		at = stretch.Reached
	}
	want := [][]int{{size / 2, size / 4}, {size / 2}, {2 * size}, {1, 1}, {size}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

// TestMemoryOfAnotherEpoch: places of another log are not mistaken for some of this one.
func TestMemoryOfAnotherEpoch(t *testing.T) {
	m := startMemory(t, enginetest.Generous())
	for range 10 {
		publishTo(t, m, "a", "1")
	}
	other := models.ID{Epoch: "other", Sequence: 5}
	stretch, err := m.Read(t.Context(), broker.Query{Patterns: []models.Pattern{">"}, After: other, UpTo: other, Limit: 1000})
	if err != nil || len(stretch.Messages) > 0 || stretch.Follows(other) || stretch.Reached.Epoch != stretch.Newest.Epoch || stretch.Reached.Sequence != 0 {
		t.Errorf("%+v, %v", stretch, err)
	}
	if after, err := m.Tail(t.Context(), []models.Pattern{">"}, other, 3); err != nil || after != stretch.Reached {
		t.Errorf("%v, %v", after, err)
	}
}

// TestMemoryStopsReading when nobody waits for it any more.
func TestMemoryStopsReading(t *testing.T) {
	m := startMemory(t, enginetest.Generous())
	id := publishTo(t, m, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Read(ctx, broker.Query{Patterns: []models.Pattern{"a"}, UpTo: id, Limit: 10}); err == nil {
		t.Error("Read did not fail")
	}
	if _, err := m.Tail(ctx, []models.Pattern{"a"}, id, 10); err == nil {
		t.Error("Tail did not fail")
	}
}

// TestMemoryNeverLosesSilently: while others publish, and messages go for having too
// many in their topic, too many bytes or by a purge, whoever reads page by page gets
// every message in order, or is told.
func TestMemoryNeverLosesSilently(t *testing.T) {
	const publishers, each, readers, topics = 3, 3000, 4, 400
	for name, history := range map[string]broker.History{
		"by topic": {MaxMessagesPerTopic: 4, MaxAge: time.Hour, MaxBytes: 1 << 30},
		"by bytes": {MaxMessagesPerTopic: 50, MaxAge: time.Hour, MaxBytes: 900_000},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMemory(t, history)
			var mu sync.Mutex
			published := make(map[uint64]models.Topic)
			var publishing, reading sync.WaitGroup
			stop := make(chan struct{})
			for seed := range publishers {
				publishing.Go(func() {
					random := rand.New(rand.NewPCG(uint64(seed), 3)) //nolint:gosec // a test's chance
					for n := range each {
						topic := models.Topic(fmt.Sprintf("t.%d.%d", random.IntN(2), random.IntN(topics)))
						id := publishTo(t, m, topic, "1")
						mu.Lock()
						published[id.Sequence] = topic
						mu.Unlock()
						if n%100 == 0 {
							if err := m.Purge(t.Context(), topic); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			type run struct {
				pattern     models.Pattern
				after, upTo models.ID
				got         []uint64
				told        bool
			}
			runs := make([][]run, readers)
			for seed := range readers {
				reading.Go(func() {
					random := rand.New(rand.NewPCG(uint64(seed), 4)) //nolint:gosec // a test's chance
					for {
						select {
						case <-stop:
							return
						default:
						}
						end, err := m.Position(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						r := run{upTo: end, after: end}
						r.after.Sequence -= random.Uint64N(min(end.Sequence, 2000) + 1)
						r.pattern = []models.Pattern{">", "t.0.>", "*.*.7", "t.1.1"}[random.IntN(4)]
						query := broker.Query{Patterns: []models.Pattern{r.pattern}, After: r.after, UpTo: r.upTo}
						for query.After != r.upTo {
							query.Limit = 1 + random.IntN(100)
							stretch, err := m.Read(t.Context(), query)
							if err != nil {
								t.Error(err)
								return
							}
							r.told = r.told || !stretch.Follows(query.After)
							for _, message := range stretch.Messages {
								r.got = append(r.got, message.ID.Sequence)
							}
							query.After, query.Removals = stretch.Reached, stretch.Removals
						}
						runs[seed] = append(runs[seed], r)
					}
				})
			}
			publishing.Wait()
			close(stop)
			reading.Wait()
			full, told := 0, 0
			for _, r := range slices.Concat(runs...) {
				var want []uint64
				for sequence := r.after.Sequence + 1; sequence <= r.upTo.Sequence; sequence++ {
					if r.pattern.Matches(published[sequence]) {
						want = append(want, sequence)
					}
				}
				if !slices.IsSorted(r.got) || len(slices.Compact(slices.Clone(r.got))) != len(r.got) {
					t.Fatalf("%s after %v up to %v: %v", r.pattern, r.after, r.upTo, r.got)
				}
				switch {
				case slices.Equal(want, r.got):
					full++
				case !r.told:
					t.Fatalf("%s after %v up to %v: got %d of %d, and was not told", r.pattern, r.after, r.upTo, len(r.got), len(want))
				default:
					told++
				}
			}
			t.Logf("%d had everything, %d were told", full, told)
		})
	}
}

// TestMemoryForgetsKeys when their window is over, whether others come or not, or when
// there are too many of them.
func TestMemoryForgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		history := enginetest.Generous()
		history.IdempotencyWindow = time.Minute
		history.MaxBytes = 100 * 256 * 4
		m := startMemory(t, history)
		use := func(key string, duplicate bool) {
			t.Helper()
			receipt, err := m.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1"), Key: key})
			if err != nil || receipt.Duplicate != duplicate {
				t.Errorf("%s after %v: %+v, %v", key, time.Now(), receipt, err)
			}
		}
		use("k", false)
		time.Sleep(time.Minute - time.Nanosecond)
		use("k", true) // and does not begin a window of its own
		use("l", false)
		time.Sleep(time.Nanosecond)
		use("k", false)
		use("l", true)
		use("k", true)
		time.Sleep(59 * time.Second)
		use("m", false) // the first k goes from the list here, and the second one stays
		use("k", true)
		time.Sleep(time.Hour)
		for i := range 101 {
			use(fmt.Sprint(i), false)
		}
		use("1", true)
		use("100", true)
		use("0", false)
		use("1", false)
	})
}

// TestMemoryWithoutAWindow: keys mean nothing.
func TestMemoryWithoutAWindow(t *testing.T) {
	history := enginetest.Generous()
	history.IdempotencyWindow = 0
	m := startMemory(t, history)
	for range 3 {
		if receipt, err := m.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1"), Key: "k"}); err != nil || receipt.Duplicate {
			t.Errorf("%+v, %v", receipt, err)
		}
	}
}
