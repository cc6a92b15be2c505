package fanfare

import "slices"

// Overflow is what becomes of messages for a reader that does not keep up, once as many wait for it as may.
type Overflow string

// The policies.
const (
	// OverflowDisconnect, the default, loses nothing: the subscription rests until half of what waits is
	// read, and takes up the log from there. If the log was shorter than that, the reader is told.
	OverflowDisconnect Overflow = "disconnect"
	// OverflowDropOldest drops the message that has waited the longest, and tells how many.
	OverflowDropOldest Overflow = "drop_oldest"
	// OverflowLatest has only the newest message of each topic wait.
	OverflowLatest Overflow = "latest"
)

// queue is what waits for the reader of one subscription. The zero queue is ready.
type queue struct {
	entries []entry
	// messages counts those among the entries.
	messages int
}

// entry is one of: a message, a loss or a drop, an event.
type entry struct {
	message Message
	// live tells of a message that it came after the replay: only then a policy may let it go.
	live bool

	lost    *LostError
	dropped *DroppedError
	// call tells the reader something else.
	call func()
}

func (e *entry) isMessage() bool { return e.lost == nil && e.dropped == nil && e.call == nil }

func (q *queue) push(e entry) {
	q.entries = append(q.entries, e)
	if e.isMessage() {
		q.messages++
	}
}

func (q *queue) pop() (entry, bool) {
	if len(q.entries) == 0 {
		return entry{}, false
	}
	e := q.entries[0]
	q.entries[0] = entry{} // for the garbage collector
	q.entries = q.entries[1:]
	if e.isMessage() {
		q.messages--
	}
	return e, true
}

// lose notes a loss. What was not read yet since the last message is one loss.
func (q *queue) lose(lost LostError) {
	if last := len(q.entries) - 1; last >= 0 && q.entries[last].lost != nil {
		for _, topic := range lost.Topics {
			if !slices.Contains(q.entries[last].lost.Topics, topic) {
				q.entries[last].lost.Topics = append(q.entries[last].lost.Topics, topic)
			}
		}
		return
	}
	q.push(entry{lost: &lost})
}

// replaceOlder takes out the live message of a topic that waits.
func (q *queue) replaceOlder(topic string) {
	for i := range q.entries {
		if e := &q.entries[i]; e.live && e.message.Topic == topic {
			q.entries = slices.Delete(q.entries, i, i+1)
			q.messages--
			return
		}
	}
}

// dropOldest drops the oldest live message, and notes that where it was. It is false if there is none.
func (q *queue) dropOldest(topics []string) bool {
	at := slices.IndexFunc(q.entries, func(e entry) bool { return e.live })
	if at < 0 {
		return false
	}
	q.messages--
	before := at - 1
	if before < 0 || q.entries[before].dropped == nil {
		q.entries[at] = entry{dropped: &DroppedError{Topics: topics, Count: 1}}
		return true
	}
	// One note for all: it moves on, and what stands before it moves up. Mostly nothing does.
	q.entries[before].dropped.Topics = topics
	q.entries[before].dropped.Count++
	copy(q.entries[1:at+1], q.entries[:at])
	q.entries[0] = entry{}
	q.entries = q.entries[1:]
	return true
}
