// Package severable is a way to a TCP server that a test can interrupt.
package severable

import (
	"net"
	"sync"
	"testing"
)

// Way leads from an address of its own to a server. Its methods may be called concurrently.
type Way struct {
	listener net.Listener
	over     chan struct{}
	working  sync.WaitGroup

	mu      sync.Mutex
	target  string
	refuses bool
	// flowing is closed while bytes pass.
	flowing chan struct{}
	// freezes counts Freeze, and thawed is the one of them that new connections do not know.
	freezes, thawed int
	// conns has both ends of each connection.
	conns map[net.Conn]bool
}

// New opens a way to a target, until the end of the test.
func New(t testing.TB, target string) *Way {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Way{
		listener: listener, over: make(chan struct{}),
		target: target, flowing: make(chan struct{}), conns: make(map[net.Conn]bool),
	}
	close(w.flowing)
	w.working.Go(w.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		close(w.over)
		w.Block()
		w.working.Wait()
	})
	return w
}

// Address is where the way begins.
func (w *Way) Address() string { return w.listener.Addr().String() }

// Lead has the way lead to another server, for new connections.
func (w *Way) Lead(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}

// Carries counts the connections.
func (w *Way) Carries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns) / 2
}

// Cut closes all connections.
func (w *Way) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutLocked()
}

// Block closes all connections, and refuses new ones until Unblock.
func (w *Way) Block() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuses = true
	w.cutLocked()
}

// Unblock ends Block.
func (w *Way) Unblock() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuses = false
}

func (w *Way) cutLocked() {
	for conn := range w.conns {
		_ = conn.Close()
	}
}

// Freeze has no byte pass any more, and nobody told.
func (w *Way) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flowing = make(chan struct{})
	w.freezes++
}

// Thaw ends Freeze.
func (w *Way) Thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.flowing:
	default:
		close(w.flowing)
	}
}

// ThawNew ends Freeze for new connections. Those that are there already stay frozen.
func (w *Way) ThawNew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thawed = w.freezes
}

func (w *Way) accept() {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		thawed := w.thawed
		w.mu.Unlock()
		w.working.Go(func() { w.carry(conn, thawed) })
	}
}

// carry carries a connection to the target and back until one end closes it.
func (w *Way) carry(conn net.Conn, thawed int) {
	defer conn.Close() //nolint:errcheck // it may be closed already
	target, ok := w.await(thawed)
	if !ok {
		return
	}
	there, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer there.Close() //nolint:errcheck // it may be closed already
	if !w.add(conn, there) {
		return
	}
	defer w.remove(conn, there)
	var both sync.WaitGroup
	both.Go(func() { w.copy(conn, there, thawed) })
	w.copy(there, conn, thawed)
	both.Wait()
}

func (w *Way) add(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuses {
		return false
	}
	for _, conn := range conns {
		w.conns[conn] = true
	}
	return true
}

func (w *Way) remove(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		delete(w.conns, conn)
	}
}

// copy has bytes pass in one direction, and then closes both ends.
func (w *Way) copy(to, from net.Conn, thawed int) {
	defer to.Close()   //nolint:errcheck // it may be closed already
	defer from.Close() //nolint:errcheck // it may be closed already
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, ok := w.await(thawed); !ok {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// await waits until bytes may pass, and gives where they go. It is false at the end of the test. A connection does not
// know the freeze that it was thawed in.
func (w *Way) await(thawed int) (target string, ok bool) {
	w.mu.Lock()
	flowing, target := w.flowing, w.target
	passes := thawed > 0 && thawed == w.freezes
	w.mu.Unlock()
	if passes {
		return target, true
	}
	select {
	case <-flowing:
	case <-w.over:
		return "", false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.target, true
}
