package broker

import (
	"slices"
	"sort"
	"sync/atomic"

	"fanfare/models"
)

// minRemembered is how many of the messages that a topic has lost it remembers at least.
const minRemembered = 8

// maxLost is how many of its older removals a topic remembers at most.
const maxLost = 8

// topicLog has what is retained of one topic. It also remembers what it has lost last, up to
// a half as many messages as it has, and some of what it has lost before: so Read can often
// tell apart what was lost before a place or a moment from what was lost only after it.
type topicLog struct {
	// Set when it is made, never changed.
	name models.Topic

	// Read by anybody.
	count  atomic.Int64
	newest atomic.Pointer[models.Message]

	// Guarded by the engine's lock. The places before first are of removed messages, and
	// numbers has the numbers of these removals. lost are some that are not in places any
	// more, the oldest first: the last one, and of the others the fewer the older they are.
	places  []place
	numbers []uint64
	first   int
	lost    []removal
}

// place is where a message stands in the log. A removed one is nil.
type place struct {
	sequence uint64
	message  *models.Message
}

// removal is the loss of a message. number counts all that the log has lost: of a topic, a
// message with a higher sequence was removed later.
type removal struct{ sequence, number uint64 }

func (t *topicLog) retained() int { return len(t.places) - t.first }

// oldest gives the oldest message of a topic that has one.
func (t *topicLog) oldest() *models.Message { return t.places[t.first].message }

func (t *topicLog) append(m *models.Message) {
	t.places = append(t.places, place{m.ID.Sequence, m})
	t.newest.Store(m)
	t.count.Add(1)
}

// removeOldest removes the oldest message of a topic that has one. It is the removal of
// that number.
func (t *topicLog) removeOldest(number uint64) *models.Message {
	m := t.oldest()
	t.places[t.first].message = nil
	t.numbers = append(t.numbers, number)
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
	if len(t.lost) == maxLost {
		for i := range maxLost / 2 {
			t.lost[i] = t.lost[2*i+1]
		}
		t.lost = t.lost[:maxLost/2]
	}
	t.lost = append(t.lost, t.removal(n-1))
	t.first -= n
	t.places = dropped(t.places, n)
	t.numbers = dropped(t.numbers, n)
}

// dropped is a slice without its first n elements, and without most of the room for them.
func dropped[E any](s []E, n int) []E {
	if left := s[n:]; cap(s) > 4*len(left) {
		return slices.Clone(left)
	}
	return slices.Delete(s, 0, n)
}

// removal gives that of the message which was at a place before first.
func (t *topicLog) removal(i int) removal { return removal{t.places[i].sequence, t.numbers[i]} }

// removed is the last removal, or one that may have been before the topic was known.
func (t *topicLog) removed() removal {
	if t.first > 0 {
		return t.removal(t.first - 1)
	}
	return t.lastLost()
}

// lastLost is the last removal that is not in places any more.
func (t *topicLog) lastLost() removal {
	if len(t.lost) == 0 {
		return removal{}
	}
	return t.lost[len(t.lost)-1]
}

// removedUpTo is the last removal of a sequence that is at most upTo. If the topic has lost
// more beyond upTo than it remembers, that may be one which never was: then its number is that
// of the first removal beyond upTo that it remembers.
func (t *topicLog) removedUpTo(upTo uint64) removal {
	if i := min(t.beyond(upTo), t.first); i > 0 {
		return t.removal(i - 1)
	}
	for _, r := range t.lost {
		if r.sequence > upTo {
			return removal{upTo, r.number}
		}
	}
	return t.lastLost()
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
