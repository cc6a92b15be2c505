package broker

import (
	"maps"
	"time"

	"github.com/tidwall/btree"

	"fanfare/models"
)

// What a retained message costs besides its data, and a topic, in bytes, roughly.
const (
	entryOverhead = 256
	topicOverhead = 1024
)

// maxRecent is of how many removals, the last ones, the log remembers the topics.
const maxRecent = 4 << 10

// maxEmpty and emptyShare bound the topics that are remembered though nothing of them is
// left: in number, and as a part of the log's size.
const (
	maxEmpty   = 10_000
	emptyShare = 16
)

// log is the bounded, ordered history of the memory engine. A message goes when its
// topic has too many, when it is too old or when the log is too large; the oldest goes
// first. What it costs to add or to remove one does not grow with the log, other than by
// the depth of a tree. Methods need the lock of the engine; names, and copies of order
// and marks, may be read without.
type log struct {
	history History
	// newest is the last sequence given, 0 before the first.
	newest uint64
	// removals is how many messages were removed. recent has the topics of the last ones:
	// that of a removal stands at its number, modulo maxRecent.
	removals uint64
	recent   []models.Topic
	// evictions counts them by cause.
	evictions map[Eviction]uint64
	size      int64
	topics    map[models.Topic]*topicLog
	names     directory[*topicLog]
	// order has the topic of each retained message, by the message's sequence. It has not
	// the message, since a B-tree may hold on to what was taken out of it.
	order btree.Map[uint64, *topicLog]
	// marks has the topics that have lost messages, by the newest sequence that each has
	// lost, and empty has those of them that have nothing left.
	marks, empty btree.Map[uint64, *topicLog]
	// forgotten has the highest sequence and number of what topics have lost that are no
	// longer in topics: for these it stands in for their own.
	forgotten removal
}

func newLog(history History) *log {
	return &log{
		history:   history,
		topics:    make(map[models.Topic]*topicLog),
		recent:    make([]models.Topic, maxRecent),
		evictions: map[Eviction]uint64{EvictionAge: 0, EvictionTopic: 0, EvictionBytes: 0, EvictionPurge: 0},
	}
}

// append adds a message, whose sequence is the next one. It goes at once if its topic
// has too many; for the other bounds there is trim.
func (l *log) append(m *models.Message) {
	t := l.topics[m.Topic]
	if t == nil {
		t = &topicLog{name: m.Topic}
		if l.forgotten.number > 0 {
			t.lost = []removal{l.forgotten}
		}
		l.topics[t.name] = t
		l.names.set(string(t.name), t)
		l.size += topicOverhead
	} else if t.retained() == 0 {
		l.empty.Delete(t.removed().sequence)
	}
	m.Topic = t.name // so that all messages of a topic share one text
	l.newest = m.ID.Sequence
	l.size += entryOverhead + int64(m.Size())
	l.order.Load(l.newest, t)
	t.append(m)
	if t.retained() > l.history.MaxMessagesPerTopic {
		l.removeOldest(t, EvictionTopic)
	}
}

// trim removes messages that are too old or too many for the size of the log, at most
// limit, and tells whether there are more of them.
func (l *log) trim(now time.Time, limit int) (more bool) {
	for ; ; limit-- {
		_, t, found := l.order.Min()
		cause := EvictionBytes
		switch {
		case !found:
			return false
		case l.size > l.history.MaxBytes:
		case now.Sub(t.oldest().Time.Time) > l.history.MaxAge:
			cause = EvictionAge
		default:
			return false
		}
		if limit == 0 {
			return true
		}
		l.removeOldest(t, cause)
	}
}

// purge removes a topic's messages up to a sequence, at most limit, and tells whether
// there are more of them.
func (l *log) purge(name models.Topic, upTo uint64, limit int) (more bool) {
	t := l.topics[name]
	if t == nil {
		return false
	}
	for ; t.retained() > 0 && t.oldest().ID.Sequence <= upTo; limit-- {
		if limit == 0 {
			return true
		}
		l.removeOldest(t, EvictionPurge)
	}
	return false
}

// removeOldest removes the oldest message of a topic that has one.
func (l *log) removeOldest(t *topicLog, cause Eviction) {
	before := t.removed()
	l.evictions[cause]++
	l.removals++
	l.recent[l.removals%maxRecent] = t.name
	m := t.removeOldest(l.removals)
	mark := m.ID.Sequence
	l.order.Delete(mark)
	l.size -= entryOverhead + int64(m.Size())
	l.marks.Set(mark, t)
	l.marks.Delete(before.sequence)
	if t.retained() > 0 {
		return
	}
	l.empty.Set(mark, t)
	if n := int64(l.empty.Len()); n > maxEmpty || n*topicOverhead > l.history.MaxBytes/emptyShare {
		l.forgetEmpty()
	}
}

// forgetEmpty forgets, of the topics of which nothing is left, the one that has lost its
// last message first in the order of the log.
func (l *log) forgetEmpty() {
	mark, t, _ := l.empty.PopMin()
	l.marks.Delete(mark)
	delete(l.topics, t.name)
	l.names.delete(string(t.name))
	l.size -= topicOverhead
	l.forgotten.sequence = max(l.forgotten.sequence, mark)
	l.forgotten.number = max(l.forgotten.number, t.removed().number)
}

// stats is what the log holds, and what it has lost.
func (l *log) stats() LogStats {
	stats := LogStats{
		Messages:  int64(l.order.Len()),
		Topics:    int64(len(l.topics) - l.empty.Len()),
		Bytes:     l.size,
		Evictions: maps.Clone(l.evictions),
		MaxBytes:  l.history.MaxBytes,
		MaxAge:    l.history.MaxAge,
	}
	if _, t, found := l.order.Min(); found {
		stats.Oldest = t.oldest().Time.Time
	}
	return stats
}

// losers gives the topics of all removals after the first so many, the last first, unless
// they are too many. It gives none to who knows of no removal: for that, marks are shorter. A
// topic may come more than once.
func (l *log) losers(known uint64) (topics []models.Topic, all bool) {
	if known == 0 || l.removals > known+maxRecent {
		return nil, false
	}
	topics = make([]models.Topic, 0, min(l.removals-known, maxRecent))
	for number := l.removals; number > known; number-- {
		topics = append(topics, l.recent[number%maxRecent])
	}
	return topics, true
}

// removedUpTo gives the last removal of a sequence up to one that the topic of a name has
// lost, or may have.
func (l *log) removedUpTo(name models.Topic, upTo uint64) removal {
	if t := l.topics[name]; t != nil {
		return t.removedUpTo(upTo)
	}
	return l.forgottenUpTo(upTo)
}

// forgottenUpTo is removedUpTo for topics that are not known any more.
func (l *log) forgottenUpTo(upTo uint64) removal {
	return removal{min(l.forgotten.sequence, upTo), l.forgotten.number}
}
