package app

import (
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// httpConns knows the connections that are neither closed nor WebSockets. At shutdown
// fasthttp waits for those of them that it cannot see through: browsers open some in
// advance, and some peers never finish their request or take their answer.
type httpConns struct {
	mu      sync.Mutex
	states  map[net.Conn]fasthttp.ConnState
	closing bool
}

func newHTTPConns() *httpConns {
	return &httpConns{states: make(map[net.Conn]fasthttp.ConnState)}
}

// track is fasthttp's ConnState hook.
func (c *httpConns) track(conn net.Conn, state fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case fasthttp.StateHijacked, fasthttp.StateClosed:
		delete(c.states, conn)
	default:
		c.states[conn] = state
		if c.closing && state == fasthttp.StateNew {
			_ = conn.Close()
		}
	}
}

// closeFresh closes those that have not sent anything, now and from now on.
func (c *httpConns) closeFresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for conn, state := range c.states {
		if state == fasthttp.StateNew {
			_ = conn.Close()
		}
	}
}

// closeAll closes all that there are, and counts them.
func (c *httpConns) closeAll() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.states {
		_ = conn.Close()
	}
	return len(c.states)
}
