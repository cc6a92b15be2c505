package broker

import (
	"cmp"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"fanfare/models"
)

// What a retained message costs besides its data, and a topic that has one, in bytes,
// roughly.
const (
	entryOverhead = 256
	topicOverhead = 1024
)

// log is the bounded, ordered history of the memory engine. A message goes when its
// topic has too many, when it is too old or when the log is too large; the oldest goes
// first, and each removal costs the same however large the log is. Methods need the
// lock of the engine, but names may be read without.
type log struct {
	history History
	// newest is the last sequence given, 0 before the first.
	newest uint64
	// oldest and latest end a list of all entries in their order.
	oldest, latest *entry
	size           int64
	topics         map[models.Topic]*topicLog
	names          directory[*topicLog]
	// forgotten is the newest sequence removed from a topic that is no longer in
	// topics: for such topics it stands in for their own mark.
	forgotten uint64
}

// entry is a retained message.
type entry struct {
	message          *models.Message
	topic            *topicLog
	earlier, further *entry
}

// topicLog has what is retained of one topic.
type topicLog struct {
	// Read by anybody.
	count  atomic.Int64
	newest atomic.Pointer[models.Message]

	// Guarded by the engine's lock. Entries begin at first.
	entries []*entry
	first   int
	// removed is the newest sequence that was removed from the topic.
	removed uint64
}

func newLog(history History) *log {
	return &log{history: history, topics: make(map[models.Topic]*topicLog)}
}

// append adds a message, whose sequence is the next one.
func (l *log) append(m *models.Message) {
	t := l.topics[m.Topic]
	if t == nil {
		t = &topicLog{removed: l.forgotten}
		l.topics[m.Topic] = t
		l.names.set(string(m.Topic), t)
		l.size += topicOverhead
	}
	e := &entry{message: m, topic: t, earlier: l.latest}
	if l.latest == nil {
		l.oldest = e
	} else {
		l.latest.further = e
	}
	l.latest = e
	l.newest = m.ID.Sequence
	l.size += entryOverhead + int64(len(m.Data))
	t.entries = append(t.entries, e)
	t.newest.Store(m)
	t.count.Add(1)
	l.bound(t, m.Time.Time)
}

// bound removes what the newest message of a topic leaves no room for.
func (l *log) bound(t *topicLog, now time.Time) {
	if len(t.entries)-t.first > l.history.MaxMessagesPerTopic {
		l.remove(t.entries[t.first])
	}
	for l.oldest != nil && l.size > l.history.MaxBytes {
		l.remove(l.oldest)
	}
	l.expire(now, 2)
}

// expire removes messages that are too old, at most limit, and counts them.
func (l *log) expire(now time.Time, limit int) (removed int) {
	for removed < limit && l.oldest != nil && now.Sub(l.oldest.message.Time.Time) > l.history.MaxAge {
		l.remove(l.oldest)
		removed++
	}
	return removed
}

// remove removes an entry, which is the oldest of its topic.
func (l *log) remove(e *entry) {
	if e.earlier == nil {
		l.oldest = e.further
	} else {
		e.earlier.further = e.further
	}
	if e.further == nil {
		l.latest = e.earlier
	} else {
		e.further.earlier = e.earlier
	}
	l.size -= entryOverhead + int64(len(e.message.Data))
	e.topic.removeFirst()
	if e.topic.first == len(e.topic.entries) {
		l.forget(e.message.Topic, e.topic)
	}
}

// removeFirst removes the topic's oldest entry.
func (t *topicLog) removeFirst() {
	t.removed = t.entries[t.first].message.ID.Sequence
	t.entries[t.first] = nil
	t.first++
	t.count.Add(-1)
	if t.first > len(t.entries)/2 && t.first > 16 {
		t.entries = slices.Clone(t.entries[t.first:])
		t.first = 0
	}
}

// forget forgets a topic of which nothing is left.
func (l *log) forget(name models.Topic, t *topicLog) {
	t.newest.Store(nil)
	delete(l.topics, name)
	l.names.delete(string(name))
	l.size -= topicOverhead
	l.forgotten = max(l.forgotten, t.removed)
}

// read gives up to limit messages after a sequence and up to another that match one of
// the patterns, in order, and the newest sequence removed from a topic that matches.
func (l *log) read(patterns []models.Pattern, after, upTo uint64, limit int) (messages []*models.Message, removed uint64) {
	topics := make(map[*topicLog]struct{})
	for _, p := range patterns {
		if p.HasWildcard() || l.topics[models.Topic(p)] == nil {
			removed = max(removed, l.forgotten)
		}
		l.addMatching(topics, p)
	}
	for t := range topics {
		removed = max(removed, t.removed)
		messages = t.appendTo(messages, after, upTo, limit)
	}
	slices.SortFunc(messages, func(a, b *models.Message) int {
		return cmp.Compare(a.ID.Sequence, b.ID.Sequence)
	})
	return messages[:min(len(messages), limit)], removed
}

// addMatching adds the topics that match the pattern.
func (l *log) addMatching(topics map[*topicLog]struct{}, p models.Pattern) {
	filter := models.TopicFilter{Pattern: p}
	eachTopic(&l.names, filter, func(_ models.Topic, t *topicLog) bool {
		topics[t] = struct{}{}
		return true
	})
}

// appendTo appends up to limit of the topic's messages after a sequence and up to
// another.
func (t *topicLog) appendTo(messages []*models.Message, after, upTo uint64, limit int) []*models.Message {
	entries := t.entries[t.first:]
	from := sort.Search(len(entries), func(i int) bool { return entries[i].message.ID.Sequence > after })
	for _, e := range entries[from:] {
		if limit == 0 || e.message.ID.Sequence > upTo {
			break
		}
		messages = append(messages, e.message)
		limit--
	}
	return messages
}
