package broker

import "fanfare/models"

// Conn is a connection, as far as a client's shard needs one. From AddClient until
// RemoveClient returns, nobody else calls Write and Close.
type Conn interface {
	// Format is the wire format in which the connection wants its frames. It never
	// changes.
	Format() models.Format

	// Write takes as much of b as it can without blocking, and keeps no part of b. If
	// that is less than all, room is called, once and from any goroutine, as soon as
	// more can be taken. An error means that the connection is lost.
	Write(b []byte, room func()) (n int, err error)

	// Close tells the connection that its last frame, which is the close frame, has
	// been queued: the peer has a bounded time left to take what is written and to
	// leave. It does not block. Write may still be called.
	Close(code models.CloseCode)
}
