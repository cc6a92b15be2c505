package app_test

import (
	"net"
	"sync"
	"testing"
)

// severable is a way to a TCP server that can be interrupted. Its methods may be called concurrently.
type severable struct {
	listener net.Listener
	target   string

	mu sync.Mutex
	// flowing is closed while bytes pass.
	flowing chan struct{}
	refuses bool
	over    chan struct{}
	// conns has both ends of each connection.
	conns   map[net.Conn]bool
	working sync.WaitGroup
}

// newSeverable opens a way to a target, until the end of the test.
func newSeverable(t *testing.T, target string) *severable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &severable{
		listener: listener, target: target,
		flowing: make(chan struct{}), over: make(chan struct{}), conns: make(map[net.Conn]bool),
	}
	close(s.flowing)
	s.working.Go(s.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		close(s.over)
		s.cut(true)
		s.working.Wait()
	})
	return s
}

func (s *severable) address() string { return s.listener.Addr().String() }

// carries counts the connections.
func (s *severable) carries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) / 2
}

// freeze has no byte pass any more, and nobody told.
func (s *severable) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flowing = make(chan struct{})
}

// cut closes all connections, and refuses new ones if it is told to.
func (s *severable) cut(refuses bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = refuses
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// heal ends freeze and cut.
func (s *severable) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = false
	select {
	case <-s.flowing:
	default:
		close(s.flowing)
	}
}

func (s *severable) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.working.Go(func() { s.carry(conn) })
	}
}

// carry carries a connection to the target and back until one end closes it.
func (s *severable) carry(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // it may be closed already
	if !s.await() {
		return
	}
	target, err := net.Dial("tcp", s.target)
	if err != nil {
		return
	}
	defer target.Close() //nolint:errcheck // it may be closed already
	if !s.add(conn, target) {
		return
	}
	defer s.remove(conn, target)
	var both sync.WaitGroup
	both.Go(func() { s.copy(conn, target) })
	s.copy(target, conn)
	both.Wait()
}

func (s *severable) add(conns ...net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		return false
	}
	for _, conn := range conns {
		s.conns[conn] = true
	}
	return true
}

func (s *severable) remove(conns ...net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range conns {
		delete(s.conns, conn)
	}
}

// copy has bytes pass in one direction, and then closes both ends.
func (s *severable) copy(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // it may be closed already
	defer from.Close() //nolint:errcheck // it may be closed already
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !s.await() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// await waits until bytes may pass. It is false at the end of the test.
func (s *severable) await() bool {
	s.mu.Lock()
	flowing := s.flowing
	s.mu.Unlock()
	select {
	case <-flowing:
		return true
	case <-s.over:
		return false
	}
}
