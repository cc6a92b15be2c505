package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// deaf is a Sink that takes everything and does nothing with it.
type deaf struct{}

func (deaf) Admit(context.Context, Batch) error { return nil }
func (deaf) Deliver(Batch) int                  { return 0 }
func (deaf) Dismiss(Batch)                      {}
func (deaf) Subscriptions(models.Topic) int     { return 0 }

// chronicle is a memory engine beside everything that was ever published to it.
type chronicle struct {
	t         *testing.T
	random    *rand.Rand
	m         *Memory
	published []models.Receipt
	followers []*follower
}

// follower reads page by page, and knows what was lost by each.
type follower struct {
	query Query
	lost  []uint64
}

func newChronicle(t *testing.T, seed uint64, history History) *chronicle {
	t.Helper()
	c := &chronicle{t: t, random: rand.New(rand.NewPCG(seed, 1)), m: NewMemory(history)} //nolint:gosec // a test's chance
	if err := c.m.Start(t.Context(), deaf{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.m.Close() })
	return c
}

func (c *chronicle) publish(topic models.Topic, size int) {
	c.t.Helper()
	receipt, err := c.m.Publish(c.t.Context(), models.Draft{Topic: topic, Data: make([]byte, size)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.published = append(c.published, receipt)
}

func (c *chronicle) purge(topic models.Topic) {
	c.t.Helper()
	if err := c.m.Purge(c.t.Context(), topic); err != nil {
		c.t.Fatal(err)
	}
}

// split gives the messages after one place and up to another that match, those that are
// retained and those that are lost.
func (c *chronicle) split(patterns []models.Pattern, after, upTo uint64) (retained, lost []uint64) {
	matches := matcher(patterns)
	for _, r := range c.published {
		if r.ID.Sequence <= after || r.ID.Sequence > upTo || !matches(r.Topic) {
			continue
		}
		if t := c.m.log.topics[r.Topic]; t != nil && t.find(r.ID.Sequence) != nil {
			retained = append(retained, r.ID.Sequence)
		} else {
			lost = append(lost, r.ID.Sequence)
		}
	}
	return retained, lost
}

// excused tells whether the log may not know any more what was lost between the places of a
// query.
func (c *chronicle) excused(query Query) bool {
	if f := c.m.log.forgotten; f.sequence > query.After.Sequence && f.number > query.Removals.Count {
		return true
	}
	matches := matcher(query.Patterns)
	for name, t := range c.m.log.topics {
		if last := t.lastLost(); matches(name) && last.sequence > query.UpTo.Sequence && last.number > query.Removals.Count {
			return true
		}
	}
	return false
}

// check compares the log with what it should be, and some random reads.
func (c *chronicle) check() {
	c.t.Helper()
	l := c.m.log
	size, messages, marks, empty := int64(0), 0, 0, 0
	for name, t := range l.topics {
		if same, found := l.names.get(string(name)); !found || same != t || t.name != name {
			c.t.Fatalf("%s is not in the directory", name)
		}
		size += topicOverhead
		messages += t.retained()
		gone := slices.Concat(t.places[:t.first], t.places[len(t.places):cap(t.places)])
		if i := slices.IndexFunc(gone, func(p place) bool { return p.message != nil }); i >= 0 {
			c.t.Fatalf("%s holds on to %v", name, gone[i].message.ID)
		}
		for _, p := range t.places[t.first:] {
			size += entryOverhead + int64(len(p.message.Data))
			if same, found := l.order.Get(p.sequence); !found || same != t {
				c.t.Fatalf("%d of %s is not in the order", p.sequence, name)
			}
		}
		last := t.removed()
		if same, found := l.marks.Get(last.sequence); found && same == t {
			marks++
			if l.removals-last.number < maxRecent && l.recent[last.number%maxRecent] != name {
				c.t.Fatalf("%s is not among the recent losers", name)
			}
		} else if t.first > 0 || t.retained() == 0 {
			c.t.Fatalf("%s has no mark", name)
		}
		if same, found := l.empty.Get(last.sequence); found != (t.retained() == 0) || found && same != t {
			c.t.Fatalf("%s with %d messages: empty %v", name, t.retained(), found)
		} else if found {
			empty++
		}
		if t.retained() > l.history.MaxMessagesPerTopic || int(t.count.Load()) != t.retained() || (t.newest.Load() == nil) != (t.retained() == 0) {
			c.t.Fatalf("%s has %d messages, and says %d", name, t.retained(), t.count.Load())
		}
		if t.first > max(2*minRemembered, t.retained()/2) {
			c.t.Fatalf("%s has %d messages, and remembers %d", name, t.retained(), t.first)
		}
	}
	if size != l.size || size > l.history.MaxBytes {
		c.t.Fatalf("the log has %d bytes, and says %d, of %d", size, l.size, l.history.MaxBytes)
	}
	if len(c.published) != messages+int(l.removals) { //nolint:gosec // they are few
		c.t.Fatalf("%d of %d messages are retained and %d removed", messages, len(c.published), l.removals)
	}
	if l.order.Len() != messages || l.marks.Len() != marks || l.empty.Len() != empty || l.names.len() != len(l.topics) {
		c.t.Fatalf("%d messages, %d marks, %d empty topics: %d, %d, %d", messages, marks, empty, l.order.Len(), l.marks.Len(), l.empty.Len())
	}
}

// read reads page by page, and compares with what it should be.
func (c *chronicle) read(patterns []models.Pattern, after, upTo uint64, limit int) {
	c.t.Helper()
	retained, lost := c.split(patterns, after, upTo)
	query := Query{Patterns: patterns, After: c.m.id(after), UpTo: c.m.id(upTo), Limit: limit}
	excused := c.excused(query)
	var got []uint64
	for {
		stretch, err := c.m.Read(c.t.Context(), query)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, m := range stretch.Messages {
			got = append(got, m.ID.Sequence)
		}
		at := query.After.Sequence
		later := slices.ContainsFunc(lost, func(sequence uint64) bool { return sequence > at })
		if stretch.Removals != (Removals{Epoch: c.m.epoch, Count: c.m.log.removals}) || !stretch.Lost && later || stretch.Lost && !later && !excused {
			c.t.Fatalf("%+v: lost %v, of %v", query, stretch.Lost, lost)
		}
		if query.After = stretch.Reached; query.After.Sequence >= min(upTo, c.m.log.newest) {
			break
		}
	}
	if diff := cmp.Diff(retained, got); diff != "" {
		c.t.Fatalf("%q after %d up to %d (-want +got):\n%s", patterns, after, upTo, diff)
	}
}

// follow has followers read a page each. What was lost since the page before, and beyond
// it, they are told, and nothing else.
func (c *chronicle) follow() {
	c.t.Helper()
	for _, f := range c.followers {
		_, lost := c.split(f.query.Patterns, f.query.After.Sequence, f.query.UpTo.Sequence)
		excused := c.excused(f.query)
		stretch, err := c.m.Read(c.t.Context(), f.query)
		if err != nil {
			c.t.Fatal(err)
		}
		news := slices.ContainsFunc(lost, func(sequence uint64) bool { return !slices.Contains(f.lost, sequence) })
		if news && !stretch.Lost || stretch.Lost && !news && !excused {
			c.t.Fatalf("%+v: lost %v, of %v, of which it knew %v", f.query, stretch.Lost, lost, f.lost)
		}
		f.query.After, f.query.Removals, f.lost = stretch.Reached, stretch.Removals, lost
	}
	c.followers = slices.DeleteFunc(c.followers, func(f *follower) bool { return f.query.After == f.query.UpTo })
}

// TestLogIsWhatWasPublished: over random histories, a log that loses messages for any
// reason gives exactly what it retains, and says what it has lost, and that alone.
func TestLogIsWhatWasPublished(t *testing.T) {
	for name, c := range map[string]struct {
		history       History
		topics, steps int
	}{
		"few topics":              {History{MaxMessagesPerTopic: 5, MaxAge: time.Hour, MaxBytes: 1 << 30}, 6, 3000},
		"large topics":            {History{MaxMessagesPerTopic: 700, MaxAge: time.Hour, MaxBytes: 1 << 30}, 2, 4000},
		"many topics":             {History{MaxMessagesPerTopic: 2, MaxAge: time.Hour, MaxBytes: 1 << 30}, 800, 4000},
		"few bytes":               {History{MaxMessagesPerTopic: 10, MaxAge: time.Hour, MaxBytes: 100_000}, 30, 3000},
		"many topics, few bytes":  {History{MaxMessagesPerTopic: 4, MaxAge: time.Hour, MaxBytes: 800_000}, 1000, 4000},
		"no room for empty ones":  {History{MaxMessagesPerTopic: 4, MaxAge: time.Hour, MaxBytes: 16_000}, 10, 1000},
		"one message for a topic": {History{MaxMessagesPerTopic: 1, MaxAge: time.Hour, MaxBytes: 1 << 30}, 20, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			const seed = 7
			log := newChronicle(t, seed, c.history)
			topic := func() models.Topic {
				// The square makes some topics busy and others quiet.
				f := log.random.Float64()
				return models.Topic(fmt.Sprintf("t%d.%d", log.random.IntN(2), int(f*f*float64(c.topics))))
			}
			for step := range c.steps {
				if log.random.IntN(50) == 0 {
					log.purge(topic())
				} else {
					log.publish(topic(), log.random.IntN(1500))
				}
				if step%(c.steps/40) != 0 {
					continue
				}
				log.check()
				log.follow()
				for range 10 {
					newest := log.m.log.newest
					after, upTo := log.random.Uint64N(newest+1), log.random.Uint64N(newest+10)
					patterns := []models.Pattern{
						">", "*.*", "t0.>", "*.1", "none.>",
						models.Pattern(topic()), models.Pattern(topic()), models.Pattern(topic()),
					}
					log.random.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
					patterns = patterns[:1+log.random.IntN(3)]
					log.read(patterns, after, upTo, []int{7, 100, 10_000}[log.random.IntN(3)])
					log.followers = append(log.followers, &follower{query: Query{
						Patterns: patterns, After: log.m.id(after), UpTo: log.m.id(newest), Limit: 1 + log.random.IntN(30),
					}})
				}
			}
		})
	}
}

// TestManyTopicsAreReadInFewPages: however the messages lie in the topics, and however
// the topics are asked for, a page gets on by some hundreds of messages.
func TestManyTopicsAreReadInFewPages(t *testing.T) {
	log := newChronicle(t, 1, History{MaxMessagesPerTopic: 1000, MaxAge: time.Hour, MaxBytes: 1 << 30})
	const topics = 2 * maxLookedAt
	var named []models.Pattern
	for i := range topics {
		name := models.Topic(fmt.Sprintf("t.%d", i))
		named = append(named, models.Pattern(name))
		log.publish(name, 1)
	}
	for range 300 {
		log.publish("t.0", 1) // one topic that is ahead of all others
	}
	if _, all := log.m.list([]models.Pattern{">"}); all {
		t.Error("all topics were listed for a pattern")
	}
	if list, all := log.m.list(named); !all || len(list) != topics {
		t.Error("topics that are named were not listed")
	}
	for name, patterns := range map[string][]models.Pattern{"a pattern": {">"}, "names": named} {
		pages, got := 0, 0
		for at := log.m.id(0); at.Sequence < log.m.log.newest; pages++ {
			stretch, err := log.m.Read(t.Context(), Query{Patterns: patterns, After: at, UpTo: log.m.id(log.m.log.newest), Limit: 10_000})
			if err != nil || !stretch.Follows(at) || len(stretch.Messages) > maxStretch {
				t.Fatalf("%s: %d messages, %v", name, len(stretch.Messages), err)
			}
			at = stretch.Reached
			got += len(stretch.Messages)
		}
		if got != topics+300 || pages > 50 {
			t.Errorf("%s: %d messages in %d pages", name, got, pages)
		}
	}
}

// TestForgottenTopicsShareAMark: of topics that had something and are not remembered any
// more, whoever asks is told that something is lost.
func TestForgottenTopicsShareAMark(t *testing.T) {
	const kept, remembered = maxListed + 50, 64
	log := newChronicle(t, 1, History{
		MaxMessagesPerTopic: 10, MaxAge: time.Hour, MaxBytes: remembered * topicOverhead * emptyShare,
	})
	for i := range remembered + 10 {
		name := models.Topic(fmt.Sprintf("gone.%d", i))
		log.publish(name, 1)
		log.purge(name)
	}
	for i := range kept {
		log.publish(models.Topic(fmt.Sprintf("kept.%d", i)), 1)
	}
	log.check()
	newest := log.m.id(log.m.log.newest)
	for name, c := range map[string]struct {
		patterns  []models.Pattern
		after     uint64
		recovered bool
	}{
		"forgotten, by its name":         {[]models.Pattern{"gone.9"}, 0, false},
		"forgotten, by its name, seen":   {[]models.Pattern{"gone.9"}, 10, true},
		"never heard of":                 {[]models.Pattern{"none"}, 0, false},
		"never heard of, from later on":  {[]models.Pattern{"none"}, 10, true},
		"by a pattern":                   {[]models.Pattern{"*.9"}, 9, false},
		"by a pattern, seen":             {[]models.Pattern{"*.9"}, 10, true},
		"among many":                     {[]models.Pattern{"kept.>", "gone.9"}, 9, false},
		"among many, seen":               {[]models.Pattern{"kept.>", "gone.9"}, 10, true},
		"empty, by its name":             {[]models.Pattern{"gone.10"}, 10, false},
		"empty, by its name, seen":       {[]models.Pattern{"gone.10"}, 11, true},
		"empty, by a pattern":            {[]models.Pattern{"gone.10", "*.1"}, 10, false},
		"empty, among many":              {[]models.Pattern{"kept.>", "gone.10"}, 10, false},
		"empty, among many, seen":        {[]models.Pattern{"kept.>", "gone.10"}, 11, true},
		"another one, new since":         {[]models.Pattern{"kept.1"}, 0, false},
		"another one, beside empty ones": {[]models.Pattern{"kept.1"}, 10, true},
		"others, beside empty ones":      {[]models.Pattern{"*.100"}, 10, true},
		"many others, beside empty ones": {[]models.Pattern{"kept.*"}, 10, true},
	} {
		stretch, err := log.m.Read(t.Context(), Query{Patterns: c.patterns, After: log.m.id(c.after), UpTo: newest, Limit: 1000})
		if recovered := stretch.Follows(log.m.id(c.after)); err != nil || recovered != c.recovered {
			t.Errorf("%s: recovered %v, %v", name, recovered, err)
		}
	}
}

// TestReadGivesUp: when too many topics have lost something, whoever asks for many others is
// told that something may be lost, unless it knows of those losses, or has seen beyond them.
func TestReadGivesUp(t *testing.T) {
	log := newChronicle(t, 1, History{MaxMessagesPerTopic: 1, MaxAge: time.Hour, MaxBytes: 1 << 30})
	for i := range maxListed + 1 {
		log.publish(models.Topic(fmt.Sprintf("kept.%d", i)), 1)
	}
	for range 2 {
		for i := range maxMarks + 1 {
			log.publish(models.Topic(fmt.Sprintf("busy.%d", i)), 1)
		}
	}
	for name, c := range map[string]struct {
		after, removals uint64
		lost            bool
	}{
		"from the beginning":      {0, 0, true},
		"too few of them known":   {0, maxMarks - maxRecent, true},
		"enough of them known":    {0, maxMarks + 1 - maxRecent, false},
		"all of them known":       {0, maxMarks + 1, false},
		"seen beyond one of them": {maxListed + 2, 0, false},
	} {
		query := Query{
			Patterns: []models.Pattern{"kept.*"}, After: log.m.id(c.after), UpTo: log.m.id(log.m.log.newest),
			Limit: 9, Removals: Removals{Epoch: log.m.epoch, Count: c.removals},
		}
		if stretch, err := log.m.Read(t.Context(), query); err != nil || stretch.Lost != c.lost {
			t.Errorf("%s: lost %v, %v", name, stretch.Lost, err)
		}
	}
}

// TestRecentLosers: what happened before the last removals that are remembered is not overlooked,
// and what is known is not told.
func TestRecentLosers(t *testing.T) {
	log := newChronicle(t, 1, History{MaxMessagesPerTopic: 1, MaxAge: time.Hour, MaxBytes: 1 << 30})
	for i := range maxListed + 1 {
		log.publish(models.Topic(fmt.Sprintf("kept.%d", i)), 1)
	}
	log.publish("busy", 1)
	log.publish("busy", 1)   // the first removal
	log.publish("kept.7", 1) // the second
	for range maxRecent {
		log.publish("busy", 1)
	}
	for known, lost := range []bool{true, true, false, false} {
		query := Query{
			Patterns: []models.Pattern{"kept.*"}, UpTo: log.m.id(log.m.log.newest), Limit: 9,
			Removals: Removals{Epoch: log.m.epoch, Count: uint64(known)},
		}
		if stretch, err := log.m.Read(t.Context(), query); err != nil || stretch.Lost != lost {
			t.Errorf("%d removals known: lost %v, %v", known, stretch.Lost, err)
		}
	}
	// The removals of another log say nothing about this one.
	other := Query{Patterns: []models.Pattern{"kept.*"}, UpTo: log.m.id(log.m.log.newest), Limit: 9, Removals: Removals{Epoch: "other", Count: 1 << 40}}
	if stretch, err := log.m.Read(t.Context(), other); err != nil || !stretch.Lost {
		t.Errorf("another log's removals: lost %v, %v", stretch.Lost, err)
	}
}

// TestForgottenTopicsInTheirOrder: of topics that are not known any more, whichever was forgotten
// last, the furthest loss and the latest one count.
func TestForgottenTopicsInTheirOrder(t *testing.T) {
	const remembered = 64
	log := newChronicle(t, 1, History{MaxMessagesPerTopic: 10, MaxAge: time.Hour, MaxBytes: remembered * topicOverhead * emptyShare})
	for i := range 2 * remembered {
		log.publish(models.Topic(fmt.Sprintf("gone.%d", i)), 1)
	}
	// The newer ones lose their message first, the older ones later.
	for i := 2*remembered - 1; i >= 0; i-- {
		log.purge(models.Topic(fmt.Sprintf("gone.%d", i)))
	}
	log.check()
	total := log.m.log.removals
	for i := range 2 * remembered {
		name := models.Topic(fmt.Sprintf("gone.%d", i))
		for _, pattern := range []models.Pattern{models.Pattern(name), "gone.>"} {
			query := Query{Patterns: []models.Pattern{pattern}, UpTo: log.m.id(log.m.log.newest), Limit: 9}
			// Who knows of all that was before the purge of this one hears of it.
			query.Removals = Removals{Epoch: log.m.epoch, Count: total - uint64(i) - 1}
			if stretch, err := log.m.Read(t.Context(), query); err != nil || !stretch.Lost {
				t.Errorf("%s of %s: %v, %v", pattern, name, stretch.Lost, err)
			}
		}
	}
	query := Query{Patterns: []models.Pattern{"gone.>"}, UpTo: log.m.id(log.m.log.newest), Limit: 9, Removals: Removals{Epoch: log.m.epoch, Count: total}}
	if stretch, err := log.m.Read(t.Context(), query); err != nil || stretch.Lost {
		t.Errorf("all is known: lost %v, %v", stretch.Lost, err)
	}
}
