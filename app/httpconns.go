package app

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// stateHandling is one more of fasthttp's states: a whole request was read, and is not
// answered yet.
const stateHandling = fasthttp.StateClosed + 1

// minShedAge is how long a connection may take to begin a request, or the next, before it
// can be spared.
const minShedAge = 100 * time.Millisecond

// httpConns knows the connections that are neither closed nor WebSockets. At shutdown
// fasthttp waits for those of them that it cannot see through: browsers open some in
// advance, and some peers never finish their request or take their answer. And when the
// server runs out of descriptors, those without a request have to go.
type httpConns struct {
	// leaving tells that whoever is answered is to go elsewhere with the next request.
	leaving atomic.Bool

	mu      sync.Mutex
	conns   map[net.Conn]httpConn
	closing bool
}

// httpConn is a connection and what it is at.
type httpConn struct {
	net.Conn
	state fasthttp.ConnState
	since time.Time
}

func newHTTPConns() *httpConns {
	return &httpConns{conns: make(map[net.Conn]httpConn)}
}

// watch has a server tell what its connections are at.
func (c *httpConns) watch(server *fasthttp.Server) {
	server.ConnState = c.track
	handle := server.Handler
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		c.track(ctx.Conn(), stateHandling)
		handle(ctx)
		if c.leaving.Load() && !ctx.Hijacked() {
			ctx.SetConnectionClose()
		}
	}
}

// sendAway has every answer say from now on that its connection is closed behind it. A load balancer for connections
// turns new ones away, and has those that there are go on.
func (c *httpConns) sendAway() { c.leaving.Store(true) }

// track is fasthttp's ConnState hook.
func (c *httpConns) track(conn net.Conn, state fasthttp.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case fasthttp.StateHijacked, fasthttp.StateClosed:
		delete(c.conns, conn)
	default:
		c.conns[conn] = httpConn{Conn: conn, state: state, since: time.Now()}
		if c.closing && state == fasthttp.StateNew {
			closeNow(conn)
		}
	}
}

// shed closes up to n connections that have no request under way: those that have been
// idle, or at sending one, for longest, and for minShedAge at least, so that who has just
// come gets to it. It counts them.
func (c *httpConns) shed(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	oldest, now := make([]httpConn, 0, n+1), time.Now()
	for _, conn := range c.conns {
		if conn.state == stateHandling || now.Sub(conn.since) < minShedAge {
			continue
		}
		at, _ := slices.BinarySearchFunc(oldest, conn, func(a, b httpConn) int { return a.since.Compare(b.since) })
		if at < n {
			oldest = slices.Insert(oldest, at, conn)
			oldest = oldest[:min(n, len(oldest))]
		}
	}
	for _, conn := range oldest {
		closeNow(conn.Conn)
		delete(c.conns, conn.Conn)
	}
	return len(oldest)
}

// closeFresh closes those that have not sent anything, now and from now on.
func (c *httpConns) closeFresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for _, conn := range c.conns {
		if conn.state == fasthttp.StateNew {
			closeNow(conn)
		}
	}
}

// closeAll closes all that there are, and counts them.
func (c *httpConns) closeAll() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		closeNow(conn)
	}
	return len(c.conns)
}

// closeNow closes a connection without TLS saying goodbye, which may wait for the peer for
// seconds.
func closeNow(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.Close()
}
