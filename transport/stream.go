package transport

import (
	"bytes"
	"net"
	"sync"
	"time"
)

const (
	// maxRest is how much of what the socket does not take at once is copied, in bytes.
	// The rest stays where it is shared.
	maxRest = 64 << 10
	// smallRead is how much is read at first into memory of the stream's own, in bytes. A
	// buffer is lent to it only for more.
	smallRead = 128
)

// stream is a connection of Go's, TCP or TLS: reading waits in a goroutine, and while the
// socket is full so does a goroutine that writes.
type stream struct {
	// Set by newStream and begin, never changed.
	owner *Conn
	conn  net.Conn
	// tcp is conn, or what carries its TLS.
	tcp    *net.TCPConn
	direct *directWriter

	// Owned by the goroutine that reads.
	small [smallRead]byte
	lent  *buffer
	more  bool

	// mu guards what the writing goroutine shares with write.
	mu sync.Mutex
	// rest is what the writing goroutine is at; while there is any, the socket is full.
	rest []byte
	// room is who wants to know when it is not.
	room func()
	err  error
	// written is closed when the last writing goroutine is through.
	written chan struct{}
}

func newStream(conn net.Conn, tcp *net.TCPConn, l *lenders) *stream {
	return &stream{conn: conn, tcp: tcp, direct: newDirectWriter(conn, &l.attempts)}
}

func (s *stream) begin(c *Conn) error {
	s.owner = c
	return nil
}

// read waits with a small buffer. If that was full, there is probably more, and the next
// read takes a large one.
func (s *stream) read() ([]byte, error) {
	into := s.small[:]
	if s.more {
		if s.lent == nil {
			s.lent = s.owner.carrier.lenders.lend()
		}
		into = s.lent[:]
	} else if s.lent != nil {
		s.owner.carrier.lenders.takeBack(s.lent)
		s.lent = nil
	}
	n, err := s.conn.Read(into)
	s.more = n == len(into)
	if n > 0 {
		return into[:n], nil
	}
	return nil, err
}

func (s *stream) willWait() bool { return !s.more }

// write leaves some of what the socket does not take at once, copied, to a goroutine;
// until that is through, nothing more is taken.
func (s *stream) write(b []byte, room func()) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.rest != nil {
		s.room = room
		return 0, nil
	}
	n, err := s.direct.write(b)
	if err != nil || n == len(b) {
		return n, err
	}
	taken := min(n+maxRest, len(b))
	s.rest = bytes.Clone(b[n:taken])
	if taken < len(b) {
		s.room = room
	}
	s.written = make(chan struct{})
	go s.writeRest(s.written)
	return taken, nil
}

// writeRest writes what the socket did not take at once, and then asks for more.
func (s *stream) writeRest(written chan<- struct{}) {
	defer close(written)
	_, err := s.conn.Write(s.rest)
	if err == nil {
		s.owner.tookSome()
	}
	s.mu.Lock()
	room := s.room
	s.err, s.rest, s.room = err, nil, nil
	s.mu.Unlock()
	if room != nil {
		room()
	}
}

func (s *stream) interrupt() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }

func (s *stream) closeWrite() {
	s.mu.Lock()
	written := s.written
	s.mu.Unlock()
	if written != nil {
		<-written
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = s.conn.SetReadDeadline(time.Time{})
}

// cut shuts the socket down, as a deadline could be moved: TLS sets its own when it says
// goodbye.
func (s *stream) cut() {
	// What is not sent by now never will be: without this the kernel would keep it, for a
	// peer that takes nothing, for minutes.
	_ = s.tcp.SetLinger(0)
	_ = s.tcp.CloseRead()
	_ = s.tcp.CloseWrite()
}

func (s *stream) close() { _ = s.conn.Close() }
