package broker

import "fanfare/models"

// This file is what the overflow policies do to an outbox. What is dropped leaves a
// notice with a count in its place, one for each subscription, until that is written:
// whoever reads the frames in their order hears of a loss before anything newer, and so
// cannot take for complete what is not. The places in between become holes.

// kind says what may become of a frame. Of the kinds that a subscription can have the
// greater one is stronger.
type kind uint8

const (
	// hole is an emptied slot.
	hole kind = iota
	// notice tells how many messages of its account were dropped.
	notice
	// latest is a message that the next one to its topic replaces, and that is dropped
	// as well where dropOldest is.
	latest
	// dropOldest is a message that is dropped when the outbox is full, the oldest first.
	dropOldest
	// kept is a frame that is never dropped: those of the protocol, the messages of
	// subscriptions that would rather have the client disconnected, and whatever is
	// partly written.
	kept
)

// kindOf gives the kind of a subscription's messages. No overflow is disconnect.
func kindOf(o models.Overflow) kind {
	switch o {
	case models.OverflowLatest:
		return latest
	case models.OverflowDropOldest:
		return dropOldest
	default:
		return kept
	}
}

func (k kind) droppable() bool { return k == latest || k == dropOldest }

// ledger knows which frames of an outbox may be dropped, by their index. Only outboxes
// with such frames have one.
type ledger struct {
	// oldest is where to look for the oldest frame that may be dropped: none is before.
	oldest int
	// holes and notices count the ones from the head on, and noticeBytes is what the
	// notices have in the outbox's size. Notices are not counted against its bound: a
	// subscription has one at most, and who drops a message must not need room for it.
	holes, notices, noticeBytes int
	// latest has the frame of each topic that has one of that kind.
	latest map[models.Topic]int
	// large tells that latest has grown so much that nobody else needs it.
	large bool
}

func (m *outboxMemory) lendLedger() *ledger {
	last := len(m.ledgers) - 1
	if last < 0 {
		return &ledger{latest: make(map[models.Topic]int)}
	}
	lent := m.ledgers[last]
	m.ledgers[last] = nil
	m.ledgers = m.ledgers[:last]
	return lent
}

// giveBackLedger takes the ledger of an outbox that is empty, if it had one: it has
// nothing in it, either.
func (m *outboxMemory) giveBackLedger(lent *ledger) {
	if lent != nil && !lent.large && len(m.ledgers) < maxFree {
		m.ledgers = append(m.ledgers, lent)
	}
}

// enter takes note of a frame that is about to be pushed and is not kept.
func (o *outbox) enter(f frame, memory *outboxMemory) {
	if o.ledger == nil {
		o.ledger = memory.lendLedger()
		o.ledger.oldest = len(o.frames)
	}
	switch f.kind {
	case notice:
		o.ledger.notices++
		f.account.notice = len(o.frames)
	case latest:
		o.ledger.latest[f.payload.topic] = len(o.frames)
		o.ledger.large = o.ledger.large || len(o.ledger.latest) > maxLent
	}
}

// keep makes a frame that begins to be written one that is kept.
func (o *outbox) keep(f *frame) {
	switch f.kind {
	case latest:
		delete(o.ledger.latest, f.payload.topic)
	case notice:
		o.ledger.notices--
		o.ledger.noticeBytes -= len(f.bytes())
		f.account.dropped = 0
	}
	f.account, f.kind = nil, kept
}

// dropLatest drops the unsent message to a topic that is of the kind latest, if there is
// one.
func (o *outbox) dropLatest(t models.Topic, memory *outboxMemory) bool {
	if o.ledger == nil {
		return false
	}
	i, found := o.ledger.latest[t]
	if found {
		o.drop(i, memory)
	}
	return found
}

// dropOldest drops the oldest message that may be dropped, and tells of what kind it
// was. There may be none.
func (o *outbox) dropOldest(memory *outboxMemory) (k kind, dropped bool) {
	l := o.ledger
	if l == nil {
		return 0, false
	}
	for l.oldest = max(l.oldest, o.first); l.oldest < len(o.frames); l.oldest++ {
		if k = o.frames[l.oldest].kind; k.droppable() {
			o.drop(l.oldest, memory)
			return k, true
		}
	}
	return 0, false
}

// drop drops the message in a slot, which may be dropped.
func (o *outbox) drop(i int, memory *outboxMemory) {
	f := o.frames[i]
	if f.kind == latest {
		delete(o.ledger.latest, f.payload.topic)
	}
	o.size -= len(f.bytes())
	o.frames[i] = frame{}
	if f.account.dropped == 0 {
		o.ledger.notices++
		f.account.notice = i
	} else {
		o.ledger.holes++
		o.takeBack(&o.frames[f.account.notice])
		o.frames[f.account.notice] = frame{}
		f.account.notice = min(f.account.notice, i)
	}
	o.frames[f.account.notice] = frame{account: f.account, kind: notice}
	f.account.dropped++
	o.compact(memory)
}

// refuse counts a message that is dropped before it is pushed.
func (o *outbox) refuse(f frame, memory *outboxMemory) {
	if f.account.dropped > 0 {
		o.takeBack(&o.frames[f.account.notice])
	} else {
		n := frame{account: f.account, kind: notice}
		o.enter(n, memory)
		o.push(n, memory)
	}
	f.account.dropped++
}

// writeOut gives a notice the bytes that say how many were dropped so far.
func (o *outbox) writeOut(f *frame) {
	if f.payload != nil {
		return
	}
	sub := f.account
	f.payload = &payload{bytes: sub.client.format.Event(models.NewDroppedNotice(sub.pattern, sub.dropped))}
	o.size += len(f.bytes())
	o.ledger.noticeBytes += len(f.bytes())
}

// takeBack takes from a notice what it says, since more is dropped.
func (o *outbox) takeBack(f *frame) {
	if f.payload != nil {
		o.size -= len(f.bytes())
		o.ledger.noticeBytes -= len(f.bytes())
		f.payload = nil
	}
}

// moveUp closes the holes.
func (o *outbox) moveUp() {
	l := o.ledger
	next, oldest := 0, 0
	for i := o.first; i < len(o.frames); i++ {
		f := o.frames[i]
		switch f.kind {
		case hole:
			continue
		case notice:
			f.account.notice = next
		case latest:
			l.latest[f.payload.topic] = next
		}
		o.frames[next] = f
		next++
		if i < l.oldest {
			oldest = next
		}
	}
	clear(o.frames[next:])
	o.frames, o.first = o.frames[:next], 0
	l.oldest, l.holes = oldest, 0
}
