package app_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

const (
	// checkInterval, checkFall and checkRise are how a balancer follows /readyz, as in
	// deploy/haproxy.cfg but sooner.
	checkInterval = 50 * time.Millisecond
	checkFall     = 2
	checkRise     = 2
)

// balancer is a load balancer in front of nodes: a node that is not ready gets nothing new, and keeps what it has.
type balancer struct {
	t        *testing.T
	listener net.Listener
	working  sync.WaitGroup

	mu    sync.Mutex
	nodes []balanced
	turn  int
	conns map[net.Conn]bool
}

// balanced is a node, and how many checks in a row differ from what is believed of it.
type balanced struct {
	address  string
	up       bool
	contrary int
}

// startBalancer balances connections, or requests, until the end of the test.
func startBalancer(t *testing.T, mode string, nodes int) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{t: t, listener: listener, nodes: make([]balanced, nodes), conns: make(map[net.Conn]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	for i := range nodes {
		b.working.Go(func() { b.check(ctx, i) })
	}
	end := func() { _ = listener.Close() }
	if mode == "http" {
		end = b.balanceRequests()
	} else {
		b.working.Go(b.balanceConnections)
	}
	t.Cleanup(func() {
		cancel()
		end()
		b.mu.Lock()
		for conn := range b.conns {
			_ = conn.Close()
		}
		b.mu.Unlock()
		b.working.Wait()
	})
	return b
}

// server is what is behind it, as one.
func (b *balancer) server() *server {
	return &server{t: b.t, address: b.listener.Addr().String(), client: &http.Client{Transport: transportOf(b.t)}}
}

// transportOf keeps connections alive until the end of the test.
func transportOf(t *testing.T) *http.Transport {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// put has a node be at an address.
func (b *balancer) put(i int, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[i].address = address
}

// isUp tells whether it gives a node anything.
func (b *balancer) isUp(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[i].up
}

// check looks at a node's /readyz again and again.
func (b *balancer) check(ctx context.Context, i int) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	ticks := time.NewTicker(checkInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		b.mu.Lock()
		address := b.nodes[i].address
		b.mu.Unlock()
		ready := false
		if response, err := client.Get("http://" + address + "/readyz"); err == nil { //nolint:noctx // it has a timeout
			_ = response.Body.Close()
			ready = response.StatusCode == http.StatusOK
		}
		b.checked(i, ready)
	}
}

func (b *balancer) checked(i int, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := &b.nodes[i]
	if ready == n.up {
		n.contrary = 0
		return
	}
	n.contrary++
	if n.up && n.contrary == checkFall || !n.up && n.contrary == checkRise {
		n.up, n.contrary = ready, 0
	}
}

// next gives one of the nodes that are up, in turn. Without any it is empty.
func (b *balancer) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.nodes {
		b.turn++
		if n := b.nodes[b.turn%len(b.nodes)]; n.up {
			return n.address
		}
	}
	return ""
}

// balanceRequests gives each request to a node, and keeps connections to the nodes for the next.
func (b *balancer) balanceRequests() (end func()) {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: b.next()})
			r.Out.Host = r.In.Host
		},
		Transport:     transportOf(b.t),
		FlushInterval: -1,
	}
	front := &http.Server{Handler: proxy, ReadHeaderTimeout: patience}
	b.working.Go(func() { _ = front.Serve(b.listener) })
	return func() { _ = front.Close() }
}

// balanceConnections gives each connection to a node, whatever it is for.
func (b *balancer) balanceConnections() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.working.Go(func() { b.carry(conn.(*net.TCPConn)) })
	}
}

// carry passes on what comes from both ends, and that an end has no more.
func (b *balancer) carry(conn *net.TCPConn) {
	defer conn.Close() //nolint:errcheck // it may be closed already
	dialed, err := net.Dial("tcp", b.next())
	if err != nil {
		return
	}
	node := dialed.(*net.TCPConn)
	defer node.Close() //nolint:errcheck // it may be closed already
	b.mu.Lock()
	b.conns[conn], b.conns[node] = true, true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
		delete(b.conns, node)
	}()
	var both sync.WaitGroup
	both.Go(func() { pass(conn, node) })
	pass(node, conn)
	both.Wait()
}

func pass(to, from *net.TCPConn) {
	_, err := io.Copy(to, from)
	if err != nil {
		_ = from.Close() // a reset is passed on as an end
	}
	_ = to.CloseWrite()
}
