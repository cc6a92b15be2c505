package app

import (
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// freshConns knows the connections that have not sent anything yet. Browsers open some
// in advance; fasthttp would wait for them for seconds at shutdown.
type freshConns struct {
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closing bool
}

func newFreshConns() *freshConns {
	return &freshConns{conns: make(map[net.Conn]struct{})}
}

// track is fasthttp's ConnState hook.
func (f *freshConns) track(conn net.Conn, state fasthttp.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case state != fasthttp.StateNew:
		delete(f.conns, conn)
	case f.closing:
		_ = conn.Close()
	default:
		f.conns[conn] = struct{}{}
	}
}

// close closes those that there are, and those to come.
func (f *freshConns) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	for conn := range f.conns {
		_ = conn.Close()
	}
}
