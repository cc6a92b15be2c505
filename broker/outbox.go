package broker

// outbox is a client's bounded queue of ready-made frames. Its shard owns it.
type outbox struct {
	frames []frame
	// first is the index of the head in frames, written how much of it is gone.
	first, written int
	// size is what is still to be written, in bytes.
	size int
}

// frameCost is what a frame that waits costs besides its bytes, in bytes, roughly. It
// makes a heap of tiny frames count.
const frameCost = 64

// frame is shared with the outboxes of other clients and never changed.
type frame struct {
	bytes []byte
	// message tells a message from a control frame.
	message bool
}

// maxGone is how many frames at the front may be gone before the rest moves up.
const maxGone = 64

// frameMemory lends outboxes the memory for their frames, so that one that is empty costs
// nothing and one that fills again need not grow again.
type frameMemory struct{ free [][]frame }

const (
	// maxFree bounds the slices that wait to be lent, maxLent their length.
	maxFree = 1024
	maxLent = 2 * batchSize
)

func (s *frameMemory) lend() []frame {
	last := len(s.free) - 1
	if last < 0 {
		return nil
	}
	lent := s.free[last]
	s.free[last] = nil
	s.free = s.free[:last]
	return lent
}

// giveBack takes a slice that has nothing left in it.
func (s *frameMemory) giveBack(lent []frame) {
	if len(s.free) < maxFree && cap(lent) <= maxLent {
		s.free = append(s.free, lent[:0])
	}
}

// cost is what the frame costs the outbox that it waits in.
func (f frame) cost() int { return len(f.bytes) + frameCost }

// cost is what the outbox is bounded by, in bytes.
func (o *outbox) cost() int {
	return o.size + frameCost*(len(o.frames)-o.first)
}

func (o *outbox) push(f frame, memory *frameMemory) {
	if o.frames == nil {
		o.frames = memory.lend()
	}
	o.frames = append(o.frames, f)
	o.size += len(f.bytes)
}

// chunk gives the next bytes to write: many frames gathered in scratch, or the
// head alone if it is larger than that.
func (o *outbox) chunk(scratch []byte) []byte {
	head := o.frames[o.first].bytes[o.written:]
	if len(head) >= cap(scratch) {
		return head
	}
	scratch = append(scratch[:0], head...)
	for _, f := range o.frames[o.first+1:] {
		if len(scratch)+len(f.bytes) > cap(scratch) {
			break
		}
		scratch = append(scratch, f.bytes...)
	}
	return scratch
}

// advance forgets n written bytes, and tells how many messages ended in them.
func (o *outbox) advance(n int, memory *frameMemory) (messages int) {
	o.size -= n
	for o.first < len(o.frames) {
		head := &o.frames[o.first]
		left := len(head.bytes) - o.written
		if n < left {
			o.written += n
			break
		}
		n -= left
		if head.message {
			messages++
		}
		*head = frame{}
		o.first, o.written = o.first+1, 0
	}
	o.compact(memory)
	return messages
}

// compact keeps the emptied front from growing, at a constant cost for each frame.
func (o *outbox) compact(memory *frameMemory) {
	switch {
	case o.first == len(o.frames):
		memory.giveBack(o.frames)
		o.frames, o.first = nil, 0
	case o.first > maxGone && o.first > len(o.frames)/2:
		kept := copy(o.frames, o.frames[o.first:])
		clear(o.frames[kept:])
		o.frames, o.first = o.frames[:kept], 0
	}
}

// discard forgets all but the rest of a frame that is partly written: a frame is
// never broken in the middle.
func (o *outbox) discard() {
	var kept []frame
	size := 0
	if o.written > 0 {
		head := o.frames[o.first]
		kept, size = append(kept, head), len(head.bytes)-o.written
	}
	*o = outbox{frames: kept, written: o.written, size: size}
}
