package broker

// outbox is a client's bounded queue of ready-made frames. Its shard owns it.
type outbox struct {
	frames []frame
	// first is the index of the head in frames, written how much of it is gone.
	first, written int
	// size is what is still to be written, in bytes.
	size int
}

// frame is shared with the outboxes of other clients and never changed.
type frame struct {
	bytes []byte
	// message tells a message from a control frame.
	message bool
}

// maxIdleFrames is the length beyond which an emptied outbox gives its memory back.
const maxIdleFrames = 64

func (o *outbox) push(f frame) {
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
func (o *outbox) advance(n int) (messages int) {
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
	o.compact()
	return messages
}

// compact keeps the emptied front from growing, at a constant cost for each frame.
func (o *outbox) compact() {
	switch {
	case o.first == len(o.frames):
		o.first = 0
		if o.frames = o.frames[:0]; cap(o.frames) > maxIdleFrames {
			o.frames = nil
		}
	case o.first > maxIdleFrames && o.first > len(o.frames)/2:
		kept := copy(o.frames, o.frames[o.first:])
		clear(o.frames[kept:])
		o.frames, o.first = o.frames[:kept], 0
	}
}

// discard forgets all but the rest of a frame that is partly written: a frame is
// never broken in the middle.
func (o *outbox) discard() {
	head, written := frame{}, o.written
	if written > 0 {
		head = o.frames[o.first]
	}
	*o = outbox{}
	if written > 0 {
		o.push(head)
		o.advance(written)
	}
}
