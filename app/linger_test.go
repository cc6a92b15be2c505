//go:build linux

package app_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"fanfare/app"
)

// TestLingerersCount: who has broken the protocol and stays on the line keeps its place
// until it has gone.
func TestLingerersCount(t *testing.T) {
	const clients, slack = 5, 10
	s := startAfter(t, "ulimit -n 1024", "GOMAXPROCS=2", fmt.Sprintf("FANFARE_LIMITS_CLIENTS=%d", clients))
	baseline := s.descriptors()
	refused := 0
	for range 50 {
		conn, err := subscribeRaw(s.address, "a")
		if err != nil {
			refused++
			continue
		}
		defer conn.Close() //nolint:errcheck // the test is over
		if _, err := conn.Write([]byte{0xFF, 0xFF}); err != nil {
			t.Fatal(err)
		}
		_, _ = readFrame(conn) // 1002
	}
	if now := s.descriptors(); refused == 0 || now > baseline+clients+slack {
		t.Errorf("%d descriptors, %d before; %d were refused", now, baseline, refused)
	}
}

// TestFullOfClientsStillAnswers: however many clients are allowed, there are descriptors
// left for requests.
func TestFullOfClientsStillAnswers(t *testing.T) {
	s := startAfter(t, "ulimit -n 64", "GOMAXPROCS=2", "FANFARE_LIMITS_CLIENTS=9999")
	for range 64 {
		conn, err := subscribeRaw(s.address, "a")
		if err != nil {
			break
		}
		defer conn.Close() //nolint:errcheck // the test is over
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 10 {
		response, err := client.Get("http://" + s.address + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
}

// TestNothingIsLeftInTheKernel: what a client did not take is gone with its connection.
func TestNothingIsLeftInTheKernel(t *testing.T) {
	s := startServer(t, func(config *app.Config) {
		config.History.MaxMessagesPerTopic = 1
		config.Limits.MessageSize = 64 << 10
		config.Limits.OutboxSize = 1 << 20
		config.Server.ShutdownTimeout = 600_000_000 // a third of it is the time to leave
	})
	stuck, err := subscribeRaw(s.address, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close() //nolint:errcheck // the test is over
	data := strings.Repeat("x", 32<<10)
	for len(s.log.having("client_closed")) == 0 {
		if _, problem, err := s.offer("a", data); err != nil || problem.Code != "" {
			t.Fatalf("%v %+v", err, problem)
		}
	}
	s.await(func() bool { return !serverSocketExists(t, stuck) })
}

// serverSocketExists tells whether the kernel has the server's end of a connection.
func serverSocketExists(t *testing.T, client *net.TCPConn) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	port := func(a net.Addr) int { return a.(*net.TCPAddr).Port }
	// The addresses end with their ports in hexadecimal; its local one is the client's remote.
	ends := fmt.Sprintf(":%04X %s:%04X ", port(client.RemoteAddr()), "0100007F", port(client.LocalAddr()))
	return strings.Contains(string(table), ends)
}
