package enginetest

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// perTopic is how many messages a topic keeps in the tests that remove some.
const perTopic = 3

func testRemoved(t *testing.T, engine broker.Engine, _ *Sink) {
	start := position(t, engine)
	quiet := publish(t, engine, "quiet", "1").ID
	var busy []models.ID
	for range 10 {
		busy = append(busy, publish(t, engine, "busy", "1").ID)
	}
	cases := map[string]struct {
		pattern   models.Pattern
		after     models.ID
		limit     int
		recovered bool
		want      []models.ID
	}{
		"nothing of this topic":         {"quiet", start, 9, true, []models.ID{quiet}},
		"nothing of this pattern":       {"quiet.>", start, 9, true, nil},
		"all that was removed was seen": {"busy", busy[6], 9, true, busy[7:]},
		"the last removed was not":      {"busy", busy[5], 9, false, busy[7:]},
		"from the beginning":            {"busy", start, 9, false, busy[7:]},
		"one of several topics":         {">", quiet, 9, false, busy[7:]},
		"one at a time":                 {">", start, 1, false, append([]models.ID{quiet}, busy[7:]...)},
		"the rest, one at a time":       {">", busy[7], 1, true, busy[8:]},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, recovered := read(t, engine, []models.Pattern{c.pattern}, c.after, busy[9], c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" || recovered != c.recovered {
				t.Errorf("recovered %v (-want +got):\n%s", recovered, diff)
			}
		})
	}
}

// testRemovedMeanwhile: who reads page by page learns that something was removed before
// it came to it, and who has passed it does not.
func testRemovedMeanwhile(t *testing.T, engine broker.Engine, _ *Sink) {
	var a, b []models.ID
	for range perTopic {
		a = append(a, publish(t, engine, "x.a", "1").ID)
		b = append(b, publish(t, engine, "x.b", "1").ID)
	}
	end := b[perTopic-1]
	for _, patterns := range [][]models.Pattern{{"x.*"}, {"x.a", "x.b"}} {
		if got, recovered := read(t, engine, patterns, a[0], end, 1); len(got) != 2*perTopic-1 || !recovered {
			t.Errorf("%q: recovered %v with %d messages, before anything is removed", patterns, recovered, len(got))
		}
	}
	for range perTopic {
		publish(t, engine, "x.a", "1")
	}
	for _, patterns := range [][]models.Pattern{{"x.*"}, {"x.a", "x.b"}} {
		for name, c := range map[string]struct {
			after     models.ID
			recovered bool
			want      []models.ID
		}{
			"before it": {a[0], false, b},
			"beyond it": {a[perTopic-1], true, b[perTopic-1:]},
		} {
			got, recovered := read(t, engine, patterns, c.after, end, 1)
			if diff := cmp.Diff(c.want, got); diff != "" || recovered != c.recovered {
				t.Errorf("%q, %s: recovered %v (-want +got):\n%s", patterns, name, recovered, diff)
			}
		}
	}
}

// testRemovedOfPatterns: of many topics, some of which lost messages, what was lost is
// said for exactly those patterns and places that it matters for.
func testRemovedOfPatterns(t *testing.T, engine broker.Engine, doubts Doubts) {
	c := newCrowd(t, engine, 2000)
	// removed tells which messages are not retained: of each topic all but the last.
	removed := make([]bool, len(c.published))
	of := make(map[models.Topic][]int)
	for i, r := range c.published {
		of[r.Topic] = append(of[r.Topic], i)
	}
	for _, all := range of {
		for _, i := range all[:max(0, len(all)-perTopic)] {
			removed[i] = true
		}
	}
	for range 20 {
		topic := c.topic()
		if err := engine.Purge(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		for _, i := range of[topic] {
			removed[i] = true
		}
		// Something has to be left of it: of the others an engine knows less.
		c.published = append(c.published, publish(t, engine, topic, "1"))
		removed = append(removed, false)
		of[topic] = append(of[topic], len(removed)-1)
	}
	newest := position(t, engine)
	for range 150 {
		patterns, after, upTo := c.patterns(), c.place(), c.place()
		got, recovered := read(t, engine, patterns, after, upTo, []int{50, 10_000}[c.random.IntN(2)])
		want := c.between(patterns, after, upTo, func(i int) bool { return !removed[i] })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q after %v up to %v (-want +got):\n%s", patterns, after, upTo, diff)
		}
		isRemoved := func(i int) bool { return removed[i] }
		lost := c.between(patterns, after, upTo, isRemoved)
		if len(lost) > 0 && recovered {
			t.Errorf("%q after %v up to %v: recovered, but %v are lost", patterns, after, upTo, lost)
		}
		isFull := func(topic models.Topic) bool {
			left := slices.DeleteFunc(slices.Clone(of[topic]), func(i int) bool { return removed[i] })
			return len(left) == perTopic && c.published[left[0]].ID.Sequence > after.Sequence && matches(patterns, topic)
		}
		if !recovered && doubts.Full && slices.ContainsFunc(slices.Collect(maps.Keys(of)), isFull) {
			continue
		}
		// What was lost beyond upTo may be counted, too.
		if !recovered && len(c.between(patterns, after, newest, isRemoved)) == 0 {
			t.Errorf("%q after %v up to %v: not recovered, but nothing is lost", patterns, after, upTo)
		}
	}
}

func testPurge(t *testing.T, engine broker.Engine, sink *Sink) {
	start := position(t, engine)
	var a, b []models.ID
	for range 100 {
		a = append(a, publish(t, engine, "a", "1").ID)
		b = append(b, publish(t, engine, "b", "1").ID)
	}
	sink.Await(200) // or the purge would come before their delivery
	if err := engine.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := engine.Purge(t.Context(), "none"); err != nil {
		t.Errorf("purging a topic that has nothing: %v", err)
	}
	purged := position(t, engine)
	if purged.Epoch != b[99].Epoch || purged.Sequence < b[99].Sequence { // it may leave a mark of its own
		t.Errorf("position after the purge: %v, before %v", purged, b[99])
	}
	topics, err := engine.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 10}})
	if err != nil || len(topics) != 1 || topics[0].Name != "b" || topics[0].Messages != 100 {
		t.Errorf("topics after the purge: %v, %v", topics, err)
	}
	after := publish(t, engine, "a", "2").ID
	cases := map[string]struct {
		pattern   models.Pattern
		after     models.ID
		recovered bool
		want      []models.ID
	}{
		"from the beginning":            {"a", start, false, []models.ID{after}},
		"before the last":               {"a", a[98], false, []models.ID{after}},
		"after the last":                {"a", a[99], true, []models.ID{after}},
		"after the purge":               {"a", purged, true, []models.ID{after}},
		"another topic":                 {"b", start, true, b},
		"a pattern, from the beginning": {">", start, false, append(b[:100:100], after)},
		"a pattern, after the last":     {">", a[99], true, []models.ID{b[99], after}},
	}
	for name, c := range cases {
		got, recovered := read(t, engine, []models.Pattern{c.pattern}, c.after, after, 1000)
		if diff := cmp.Diff(c.want, got); diff != "" || recovered != c.recovered {
			t.Errorf("%s: recovered %v (-want +got):\n%s", name, recovered, diff)
		}
	}
	if tail, err := engine.Tail(t.Context(), []models.Pattern{"a"}, purged, 10); err != nil || tail.Epoch != start.Epoch || tail.Sequence > purged.Sequence {
		t.Errorf("tail of what was purged: %v, %v", tail, err)
	}
	if got := sink.Await(201); len(got) != 201 {
		t.Errorf("%d messages were delivered", len(got))
	}
}

// testPurgeUnderWay: what is published after the purge began may stay, what is
// published after it ended stays.
func testPurgeUnderWay(t *testing.T, engine broker.Engine, _ *Sink) {
	start := position(t, engine)
	purged := make(chan error)
	go func() {
		for range 20 {
			if err := engine.Purge(t.Context(), "a"); err != nil {
				purged <- err
				return
			}
		}
		purged <- nil
	}()
	for range 200 {
		publish(t, engine, "a", "1")
	}
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	before := position(t, engine)
	var want []models.ID
	for range 5 {
		want = append(want, publish(t, engine, "a", "1").ID)
	}
	got, recovered := read(t, engine, []models.Pattern{"a"}, before, want[4], 1000)
	if diff := cmp.Diff(want, got); diff != "" || !recovered {
		t.Errorf("after the purges: recovered %v (-want +got):\n%s", recovered, diff)
	}
	if err := engine.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got, recovered := read(t, engine, []models.Pattern{"a"}, start, want[4], 1000); len(got) > 0 || recovered {
		t.Errorf("after the last purge: recovered %v, %v", recovered, got)
	}
}
