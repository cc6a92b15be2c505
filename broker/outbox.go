package broker

import "fanfare/models"

// outbox is a client's bounded queue of ready-made frames. Its shard owns it.
type outbox struct {
	frames []frame
	// first is the index of the head in frames, written how much of it is gone.
	first, written int
	// size is what is still to be written, in bytes.
	size int
	// ledger knows what may be dropped; nil if nothing may be.
	ledger *ledger
}

// frameCost is what a frame that waits costs besides its bytes, in bytes, roughly. It
// makes a heap of tiny frames count.
const frameCost = 64

// frame is an entry of an outbox.
type frame struct {
	// payload is nil in a hole, and in a notice until it is about to be written.
	payload *payload
	// account is the subscription on whose account the frame may be dropped, or whose
	// messages a notice is about; nil if kind is kept.
	account *subscription
	kind    kind
}

// payload is what a frame writes. It is shared by the outboxes of many clients and never
// changed.
type payload struct {
	bytes []byte
	// topic is that of a message, and empty for any other frame.
	topic models.Topic
}

// ownFrame gives a frame of one client's own: it is never dropped.
func ownFrame(bytes []byte) frame {
	return frame{payload: &payload{bytes: bytes}, kind: kept}
}

// bytes gives what the frame writes, as far as it has been made.
func (f frame) bytes() []byte {
	if f.payload == nil {
		return nil
	}
	return f.payload.bytes
}

// cost is what the frame costs the outbox that it is to wait in.
func (f frame) cost() int { return len(f.bytes()) + frameCost }

// maxGone is how many slots may be empty before the rest moves up.
const maxGone = 64

// outboxMemory lends outboxes the memory for their frames, so that one that is empty
// costs nothing and one that fills again need not grow again.
type outboxMemory struct {
	frames  [][]frame
	ledgers []*ledger
}

const (
	// maxFree bounds what waits to be lent, maxLent the length of a slice.
	maxFree = 1024
	maxLent = 2 * batchSize
)

func (m *outboxMemory) lendFrames() []frame {
	last := len(m.frames) - 1
	if last < 0 {
		return nil
	}
	lent := m.frames[last]
	m.frames[last] = nil
	m.frames = m.frames[:last]
	return lent
}

// giveBackFrames takes a slice that has nothing left in it.
func (m *outboxMemory) giveBackFrames(lent []frame) {
	if len(m.frames) < maxFree && cap(lent) <= maxLent {
		m.frames = append(m.frames, lent[:0])
	}
}

// cost is what the outbox is bounded by, in bytes.
func (o *outbox) cost() int {
	cost := o.size + frameCost*(len(o.frames)-o.first)
	if o.ledger != nil {
		cost -= o.ledger.noticeBytes + frameCost*(o.ledger.notices+o.ledger.holes)
	}
	return cost
}

func (o *outbox) empty() bool { return len(o.frames) == 0 }

// push appends a frame. One that is not kept must be entered before.
func (o *outbox) push(f frame, memory *outboxMemory) {
	if o.frames == nil {
		o.frames = memory.lendFrames()
	}
	o.frames = append(o.frames, f)
	o.size += len(f.bytes())
}

// chunk gives the next bytes to write: many frames gathered in scratch, or the head
// alone if it is larger than that. The outbox must not be empty.
func (o *outbox) chunk(scratch []byte) []byte {
	scratch = scratch[:0]
	gone := o.written
	for i := o.first; i < len(o.frames); i++ {
		f := &o.frames[i]
		if f.kind == notice {
			o.writeOut(f)
		}
		bytes := f.bytes()[gone:]
		if len(scratch)+len(bytes) > cap(scratch) {
			if i == o.first {
				return bytes
			}
			break
		}
		scratch = append(scratch, bytes...)
		gone = 0
	}
	return scratch
}

// advance forgets n written bytes of the last chunk, and tells how many messages ended
// in them.
func (o *outbox) advance(n int, memory *outboxMemory) (messages int) {
	o.size -= n
	for o.first < len(o.frames) {
		head := &o.frames[o.first]
		switch {
		case head.kind == kept:
		case head.kind == hole:
			o.ledger.holes--
			o.first++
			continue
		case n > 0:
			o.keep(head)
		}
		left := len(head.bytes()) - o.written
		if n < left || n == 0 {
			o.written += n
			break
		}
		n -= left
		if head.payload.topic != "" {
			messages++
		}
		*head = frame{}
		o.first, o.written = o.first+1, 0
	}
	o.compact(memory)
	return messages
}

// compact keeps emptied slots from becoming many, at a constant cost for each frame.
func (o *outbox) compact(memory *outboxMemory) {
	gone := o.first
	if o.ledger != nil {
		gone += o.ledger.holes
	}
	switch {
	case o.first == len(o.frames):
		memory.giveBackFrames(o.frames)
		memory.giveBackLedger(o.ledger)
		o.frames, o.first, o.ledger = nil, 0, nil
	case gone <= maxGone || gone <= len(o.frames)/2:
	case o.ledger != nil:
		o.moveUp()
	default:
		kept := copy(o.frames, o.frames[o.first:])
		clear(o.frames[kept:])
		o.frames, o.first = o.frames[:kept], 0
	}
}

// discard forgets all but the rest of a frame that is partly written: a frame is
// never broken in the middle. Nothing can be dropped any more.
func (o *outbox) discard() {
	var rest []frame
	size := 0
	if o.written > 0 {
		head := o.frames[o.first]
		rest, size = append(rest, head), len(head.bytes())-o.written
	}
	*o = outbox{frames: rest, written: o.written, size: size}
}
