package broker

import (
	"slices"
	"sort"
	"sync/atomic"

	"fanfare/models"
)

// minRemembered is how many of the messages that a topic has lost it remembers at least.
const minRemembered = 8

// topicLog has what is retained of one topic. It also remembers the sequences of what it
// has lost last, up to a half as many as it has: so Read can often tell apart what was
// lost before a place from what was lost only after it.
type topicLog struct {
	// Set when it is made, never changed.
	name models.Topic

	// Read by anybody.
	count  atomic.Int64
	newest atomic.Pointer[models.Message]

	// Guarded by the engine's lock. The places before first are of removed messages. lost
	// is the newest sequence removed that is not in places any more.
	places []place
	first  int
	lost   uint64
}

// place is where a message stands in the log. A removed one is nil.
type place struct {
	sequence uint64
	message  *models.Message
}

func (t *topicLog) retained() int { return len(t.places) - t.first }

// oldest gives the oldest message of a topic that has one.
func (t *topicLog) oldest() *models.Message { return t.places[t.first].message }

func (t *topicLog) append(m *models.Message) {
	t.places = append(t.places, place{m.ID.Sequence, m})
	t.newest.Store(m)
	t.count.Add(1)
}

// removeOldest removes the oldest message of a topic that has one.
func (t *topicLog) removeOldest() *models.Message {
	m := t.oldest()
	t.places[t.first].message = nil
	t.first++
	t.count.Add(-1)
	if t.retained() == 0 {
		t.newest.Store(nil)
	}
	if remembered := max(t.retained()/4, minRemembered); t.first > 2*remembered {
		t.forget(t.first - remembered)
	}
	return m
}

// forget forgets the first n places, which are of removed messages.
func (t *topicLog) forget(n int) {
	t.lost = t.places[n-1].sequence
	left := t.places[n:]
	t.first -= n
	if cap(t.places) > 4*len(left) {
		t.places = slices.Clone(left)
		return
	}
	copy(t.places, left)
	clear(t.places[len(left):])
	t.places = t.places[:len(left)]
}

// removed is the newest sequence that was removed, or may have been before the topic was
// known; 0 without one.
func (t *topicLog) removed() uint64 {
	if t.first > 0 {
		return t.places[t.first-1].sequence
	}
	return t.lost
}

// removedUpTo is removed for what is at most upTo. If the topic has lost more since
// than it remembers, it gives upTo.
func (t *topicLog) removedUpTo(upTo uint64) uint64 {
	if i := min(t.beyond(upTo), t.first); i > 0 {
		return t.places[i-1].sequence
	}
	return min(t.lost, upTo)
}

// beyond gives the index of the first place beyond a sequence.
func (t *topicLog) beyond(sequence uint64) int {
	return sort.Search(len(t.places), func(i int) bool { return t.places[i].sequence > sequence })
}

// between gives the places of the retained messages after a sequence and up to another.
func (t *topicLog) between(after, upTo uint64) []place {
	from := max(t.beyond(after), t.first)
	return t.places[from:max(t.beyond(upTo), from)]
}

// find gives the retained message of a sequence, nil if there is none.
func (t *topicLog) find(sequence uint64) *models.Message {
	if i := t.beyond(sequence) - 1; i >= t.first && t.places[i].sequence == sequence {
		return t.places[i].message
	}
	return nil
}
