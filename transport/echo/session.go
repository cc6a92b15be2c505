package main

import (
	"bytes"
	"sync"

	"github.com/gobwas/ws"

	"fanfare/models"
	"fanfare/transport"
)

// session sends back what it receives. It waits until the peer has taken it, and
// meanwhile nothing more is read: a peer that does not read cannot send for long.
type session struct {
	// Set by newSession, never changed.
	server *server
	conn   *transport.Conn
	// room is sent to when more can be written.
	room chan struct{}

	// mu is held to write, and while the peer takes its time: by the goroutine that reads,
	// or by the shutdown.
	mu sync.Mutex
	// closed tells that nothing more will be written.
	closed bool
}

func newSession(s *server, conn *transport.Conn) *session {
	return &session{server: s, conn: conn, room: make(chan struct{}, 1)}
}

// Receive implements transport.Session.
func (s *session) Receive(payload []byte, binary bool) {
	opcode := ws.OpText
	if binary {
		opcode = ws.OpBinary
	}
	var header bytes.Buffer
	_ = ws.WriteHeader(&header, ws.Header{Fin: true, OpCode: opcode, Length: int64(len(payload))})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeLocked(header.Bytes())
	s.writeLocked(payload)
}

// Reply implements transport.Session.
func (s *session) Reply(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeLocked(frame)
}

// Ended implements transport.Session. It waits for a shutdown that is writing.
func (s *session) Ended(reason models.CloseCode) {
	s.close(reason)
	s.server.remove(s)
}

// close ends the session with a close frame, unless it has ended before or the peer is
// gone.
func (s *session) close(code models.CloseCode) {
	s.conn.Close(code)
	s.mu.Lock()
	defer s.mu.Unlock()
	if code != models.CloseAbnormal {
		s.writeLocked(s.conn.Format().Close(code))
	}
	s.closed = true
}

// writeLocked writes as the peer takes it. An error is the end, of which the reader hears
// as well.
func (s *session) writeLocked(b []byte) {
	for !s.closed && len(b) > 0 {
		n, err := s.conn.Write(b, func() { s.room <- struct{}{} })
		if err != nil {
			s.closed = true
			return
		}
		if b = b[n:]; len(b) > 0 {
			<-s.room
		}
	}
}
