//go:build linux

package app_test

import (
	"net"
	"runtime"
	"sync"
	"testing"

	"fanfare/models"
)

// TestAllReset: a thousand subscribed clients whose connections are reset at one moment,
// again and again, leave nothing behind.
func TestAllReset(t *testing.T) {
	const rounds, clients, dialers = 10, 1000, 4
	s := startServer(t)
	nobody := func() bool {
		var page models.ClientPage
		s.get("/clients?limit=1", &page)
		return len(page.Clients) == 0
	}
	nobody() // over the connection that is there from now on
	goroutines, descriptors := runtime.NumGoroutine(), s.descriptors()
	for range rounds {
		s.comeAndReset(clients, dialers)
		s.await(nobody)
		// fasthttp keeps its workers, one for each handshake at a time, for a while.
		s.await(func() bool { return runtime.NumGoroutine() < goroutines+clients/10 })
		s.await(func() bool { return s.descriptors() <= descriptors })
	}
	// Nobody is in the way of the next.
	client := s.dial()
	if err := client.send(`{"action":"ping"}`); err != nil {
		t.Fatal(err)
	}
	if f := s.receive(client); f.Type != "pong" {
		t.Errorf("got %+v", f)
	}
}

// comeAndReset connects and subscribes n clients, some at a time, and resets all of their
// connections.
func (s *server) comeAndReset(n, dialers int) {
	s.t.Helper()
	conns := make([]*net.TCPConn, n)
	var dialing sync.WaitGroup
	for d := range dialers {
		dialing.Go(func() {
			for i := d; i < n; i += dialers {
				conn, err := subscribeRaw(s.address, "news")
				if err != nil {
					s.t.Error(err)
					return
				}
				conns[i] = conn
			}
		})
	}
	dialing.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	for _, conn := range conns {
		_ = conn.SetLinger(0)
		_ = conn.Close()
	}
}
