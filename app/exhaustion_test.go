//go:build linux

package app_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// TestDescriptorsRunOut: a server whose descriptors are taken by idle WebSockets, as many
// as it lets in, and by peers who keep opening connections and never finish a request,
// goes on: subscribers get what others publish over new connections. When all of those are
// gone, nothing of them is left.
func TestDescriptorsRunOut(t *testing.T) {
	const hogs, messages = 40, 10
	s := startAfter(t, "ulimit -n 64",
		"GOMAXPROCS=2", // each has descriptors of its own
		// Time alone ends none of them.
		"FANFARE_SERVER_HEADER_TIMEOUT=1h", "FANFARE_SERVER_READ_TIMEOUT=1h", "FANFARE_SERVER_IDLE_TIMEOUT=1h",
		"FANFARE_TRANSPORT_PING_INTERVAL=1h")
	baseline := s.descriptors()
	subscriber := s.subscribed("load")
	idle := s.fill()
	stop := s.hog(hogs)
	s.await(func() bool { return len(s.log.having("accept_failed")) > 0 })

	for range messages {
		id := s.insist("load")
		if f := s.receive(subscriber); f.ID != id {
			t.Fatalf("got %+v, want %s", f, id)
		}
	}

	stop()
	for _, client := range idle {
		_ = client.CloseNow()
	}
	if err := subscriber.close(); err != nil {
		t.Error(err)
	}
	s.await(func() bool { return s.descriptors() <= baseline })
	if lines := s.log.having("accept_failed"); len(lines) != 1 {
		t.Errorf("it was logged %d times", len(lines))
	}
	// As if nothing had been.
	subscriber = s.subscribed("load")
	id := s.publish("load", "x", "text/plain").ID.String()
	if f := s.receive(subscriber); f.ID != id {
		t.Errorf("got %+v, want %s", f, id)
	}
}

// fill connects clients until the server takes no more.
func (s *server) fill() (clients []*coder.Conn) {
	s.t.Helper()
	for {
		client, response, err := coder.Dial(s.t.Context(), "ws://"+s.address+"/ws", nil) //nolint:bodyclose // it closes that itself
		if err == nil {
			clients = append(clients, client)
			continue
		}
		if response == nil || response.StatusCode != http.StatusServiceUnavailable || len(clients) == 0 {
			s.t.Fatalf("after %d clients: %v", len(clients), err)
		}
		return clients
	}
}

// hog keeps n connections open that never finish a request, until stop: whenever the
// server closes one, the next comes.
func (s *server) hog(n int) (stop func()) {
	host := "Host: " + s.address + "\r\n"
	parts := []string{
		"",
		"GET / HTTP/1.1\r\nHo",
		"GET /livez HTTP/1.1\r\n" + host + "\r\n",
		"GET /livez HTTP/1.1\r\n" + host + "\r\nGET /li",
		"POST /topics/a/publish HTTP/1.1\r\n" + host + "Content-Length: 9\r\n\r\nx",
		"GET /ws HTTP/1.1\r\n" + host + "Upgrade: websocket\r\n",
	}
	var mu sync.Mutex
	conns, stopped := make(map[net.Conn]bool), false
	var hogs sync.WaitGroup
	for i := range n {
		hogs.Go(func() {
			for {
				conn, err := net.Dial("tcp", s.address)
				if err != nil {
					s.t.Error(err)
					return
				}
				mu.Lock()
				done := stopped
				conns[conn] = true
				mu.Unlock()
				if !done {
					_, _ = io.WriteString(conn, parts[i%len(parts)])
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
				mu.Lock()
				done = stopped
				delete(conns, conn)
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	return func() {
		mu.Lock()
		stopped = true
		for conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		hogs.Wait()
	}
}

// insist publishes over new connections until one is answered, and gives the id.
func (s *server) insist(topic string) string {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for end := time.Now().Add(patience); ; {
		response, err := client.Post("http://"+s.address+"/topics/"+topic+"/publish", "text/plain", strings.NewReader("x"))
		if err != nil {
			if time.Now().After(end) {
				s.t.Fatal(err)
			}
			continue
		}
		var receipt models.Receipt
		err = json.UnmarshalRead(response.Body, &receipt)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			s.t.Fatalf("%s: %v", response.Status, err)
		}
		return receipt.ID.String()
	}
}

// descriptors counts those that the server's process has open.
func (s *server) descriptors() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}
