package transport

import "sync"

// buffer is what a socket is read into, while there is something to read.
type buffer [16 << 10]byte

// buffers lends them.
type buffers struct{ pool sync.Pool }

func (b *buffers) lend() *buffer {
	if lent, ok := b.pool.Get().(*buffer); ok {
		return lent
	}
	return new(buffer)
}

func (b *buffers) takeBack(lent *buffer) { b.pool.Put(lent) }
