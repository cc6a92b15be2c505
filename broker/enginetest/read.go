package enginetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// read reads all from one place to another, in stretches of at most limit, and gives the
// ids, and whether who saw the log up to after misses nothing else. It holds every stretch
// to the contract. Nothing may be removed meanwhile.
func read(t *testing.T, engine broker.Engine, patterns []models.Pattern, after, upTo models.ID, limit int) (ids []models.ID, recovered bool) {
	t.Helper()
	query := broker.Query{Patterns: patterns, After: after, UpTo: upTo, Limit: limit}
	first, err := engine.Read(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	recovered = first.Follows(after)
	if after.Epoch != first.Newest.Epoch || after.Sequence > first.Newest.Sequence {
		after = models.ID{Epoch: first.Newest.Epoch}
	}
	end := models.ID{Epoch: first.Newest.Epoch, Sequence: min(upTo.Sequence, first.Newest.Sequence)}
	for stretch := first; ; {
		if len(stretch.Messages) > limit {
			t.Errorf("%q after %v: %d messages, at most %d were asked for", patterns, after, len(stretch.Messages), limit)
		}
		last := after.Sequence
		for _, m := range stretch.Messages {
			if m.ID.Sequence <= last || m.ID.Sequence > stretch.Reached.Sequence || !matches(patterns, m.Topic) {
				t.Fatalf("%q after %v: %v of %s comes after %d, in a stretch that reaches %v", patterns, after, m.ID, m.Topic, last, stretch.Reached)
			}
			last = m.ID.Sequence
			ids = append(ids, m.ID)
		}
		if stretch.Reached == end {
			return ids, recovered
		}
		if r := stretch.Reached; r.Epoch != end.Epoch || r.Sequence <= after.Sequence || r.Sequence > end.Sequence {
			t.Fatalf("%q after %v up to %v: reached %v", patterns, after, end, r)
		}
		after = stretch.Reached
		query.After, query.Removals = after, stretch.Removals
		if stretch, err = engine.Read(t.Context(), query); err != nil {
			t.Fatal(err)
		}
		if !stretch.Follows(after) || stretch.Removals.Count != first.Removals.Count {
			t.Errorf("%q after %v: lost %v at %v, and %v is known", patterns, after, stretch.Lost, stretch.Removals, first.Removals)
		}
	}
}

func matches(patterns []models.Pattern, topic models.Topic) bool {
	return slices.ContainsFunc(patterns, func(p models.Pattern) bool { return p.Matches(topic) })
}

func position(t *testing.T, engine broker.Engine) models.ID {
	t.Helper()
	id, err := engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testRead(t *testing.T, engine broker.Engine, _ *Sink) {
	start := position(t, engine)
	var a []models.ID
	for range 10 {
		a = append(a, publish(t, engine, "a", "1").ID)
		publish(t, engine, "b", "2")
	}
	cases := map[string]struct {
		after, upTo models.ID
		limit       int
		want        []models.ID
	}{
		"all":                    {start, a[9], 100, a},
		"after one":              {a[3], a[9], 100, a[4:]},
		"up to one":              {start, a[5], 100, a[:6]},
		"few at a time":          {a[3], a[9], 3, a[4:]},
		"one at a time":          {start, a[9], 1, a},
		"between others' places": {models.ID{Epoch: start.Epoch, Sequence: a[3].Sequence + 1}, a[9], 100, a[4:]},
		"up to the future":       {a[8], models.ID{Epoch: start.Epoch, Sequence: a[9].Sequence + 100}, 100, a[9:]},
		"after the newest":       {a[9], a[9], 100, nil},
		"nothing between":        {a[5], a[5], 100, nil},
		"the wrong way round":    {a[5], a[4], 100, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, recovered := read(t, engine, []models.Pattern{"a"}, c.after, c.upTo, c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" || !recovered {
				t.Errorf("recovered %v (-want +got):\n%s", recovered, diff)
			}
		})
	}
}

func testReadPatterns(t *testing.T, engine broker.Engine, _ *Sink) {
	start := position(t, engine)
	var want []models.ID
	for range 5 {
		want = append(want, publish(t, engine, "a.b", "1").ID, publish(t, engine, "a.c.d", "1").ID)
		publish(t, engine, "a", "0")
		publish(t, engine, "ab.c", "0")
	}
	for _, patterns := range [][]models.Pattern{{"a.>"}, {"a.*", "a.c.d"}, {"a.b", "a.>", "*.b", "a.*.d"}, {"a.b", "a.c.d", "none"}} {
		got, recovered := read(t, engine, patterns, start, want[len(want)-1], 100)
		if diff := cmp.Diff(want, got); diff != "" || !recovered {
			t.Errorf("%q: recovered %v (-want +got):\n%s", patterns, recovered, diff)
		}
	}
}

func testReadUnknown(t *testing.T, engine broker.Engine, _ *Sink) {
	id := publish(t, engine, "a", "1").ID
	for name, after := range map[string]models.ID{
		"another epoch": {Epoch: "other", Sequence: id.Sequence},
		"the future":    {Epoch: id.Epoch, Sequence: id.Sequence + 1},
	} {
		got, recovered := read(t, engine, []models.Pattern{"a"}, after, id, 100)
		if diff := cmp.Diff([]models.ID{id}, got); diff != "" || recovered {
			t.Errorf("%s: recovered %v (-want +got):\n%s", name, recovered, diff)
		}
	}
}

// crowd is a random history of so many topics that an engine will not look at each of
// them for a pattern that matches all.
type crowd struct {
	random *rand.Rand
	start  models.ID
	// published has every message in order; of each, ID and Topic.
	published []models.Receipt
}

func newCrowd(t *testing.T, engine broker.Engine, messages int) *crowd {
	t.Helper()
	c := &crowd{random: rand.New(rand.NewPCG(1, 2)), start: position(t, engine)} //nolint:gosec // a test's chance
	for range messages {
		c.published = append(c.published, publish(t, engine, c.topic(), "1"))
	}
	return c
}

// topic gives one of 600 topics: t.0.a to t.199.c.
func (c *crowd) topic() models.Topic {
	return models.Topic(fmt.Sprintf("t.%d.%s", c.random.IntN(200), []string{"a", "b", "c"}[c.random.IntN(3)]))
}

// patterns gives one pattern, or some that overlap.
func (c *crowd) patterns() []models.Pattern {
	n := c.random.IntN(210) // a few of them have no topic
	some := []models.Pattern{
		">", "t.>", "t.*.*", "t.*.a", "*.*.b", "t.1.>", "none.>",
		models.Pattern(fmt.Sprintf("t.%d.a", n)),
		models.Pattern(fmt.Sprintf("t.%d.*", n)),
		models.Pattern(fmt.Sprintf("*.%d.>", n)),
		models.Pattern(c.topic()),
		models.Pattern(c.topic()),
	}
	c.random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some[:1+c.random.IntN(3)]
}

// place gives a place in the log: one of a message, or before all of them.
func (c *crowd) place() models.ID {
	if i := c.random.IntN(len(c.published) + 1); i > 0 {
		return c.published[i-1].ID
	}
	return c.start
}

// between gives the messages after one place and up to another that match and are
// retained.
func (c *crowd) between(patterns []models.Pattern, after, upTo models.ID, retained func(i int) bool) (ids []models.ID) {
	for i, r := range c.published {
		if r.ID.Sequence > after.Sequence && r.ID.Sequence <= upTo.Sequence && retained(i) && matches(patterns, r.Topic) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func always(int) bool { return true }

func testReadPages(t *testing.T, engine broker.Engine, _ *Sink) {
	c := newCrowd(t, engine, 3000)
	for range 100 {
		patterns, after, upTo := c.patterns(), c.place(), c.place()
		limit := []int{3, 50, 10_000}[c.random.IntN(3)]
		got, recovered := read(t, engine, patterns, after, upTo, limit)
		if diff := cmp.Diff(c.between(patterns, after, upTo, always), got); diff != "" || !recovered {
			t.Errorf("%q after %v up to %v, %d at a time: recovered %v (-want +got):\n%s", patterns, after, upTo, limit, recovered, diff)
		}
	}
}

func testTail(t *testing.T, engine broker.Engine, _ *Sink) {
	c := newCrowd(t, engine, 3000)
	for range 150 {
		patterns, upTo, count := c.patterns(), c.place(), []int{1, 2, 30, 500, models.MaxLast}[c.random.IntN(5)]
		after, err := engine.Tail(t.Context(), patterns, upTo, count)
		if err != nil || after.Epoch != c.start.Epoch || after.Sequence > upTo.Sequence {
			t.Fatalf("%d of %q up to %v: %v, %v", count, patterns, upTo, after, err)
		}
		want := c.between(patterns, c.start, upTo, always)
		want = want[max(0, len(want)-count):]
		if diff := cmp.Diff(want, c.between(patterns, after, upTo, always)); diff != "" {
			t.Errorf("%d of %q up to %v (-want +got):\n%s", count, patterns, upTo, diff)
		}
	}
}

// testTailOfNothing: where there is nothing the place is one from which nothing comes.
func testTailOfNothing(t *testing.T, engine broker.Engine, _ *Sink) {
	start := position(t, engine)
	for range 2 {
		upTo := position(t, engine)
		for _, patterns := range [][]models.Pattern{{"none"}, {"none.>"}, {">"}} {
			after, err := engine.Tail(t.Context(), patterns, upTo, 10)
			if err != nil || after.Epoch != start.Epoch || after.Sequence > upTo.Sequence {
				t.Errorf("tail of %q: %v, %v", patterns, after, err)
			}
		}
		publish(t, engine, "a", "1")
	}
}
