package transport

import "sync"

// buffer is what a socket is read into, while there is something to read and while that is
// being answered.
type buffer [4 << 10]byte

// lenders lend what a connection needs only while something happens.
type lenders struct {
	// buffers has *buffer, attempts what directWriter puts there.
	buffers, attempts sync.Pool
}

func (l *lenders) lend() *buffer {
	if lent, ok := l.buffers.Get().(*buffer); ok {
		return lent
	}
	return new(buffer)
}

func (l *lenders) takeBack(lent *buffer) { l.buffers.Put(lent) }
