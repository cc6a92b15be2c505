//go:build linux

package app_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

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

// subscribeRaw is a client without a goroutine of its own, with a short pattern. It
// returns when it has the ack.
func subscribeRaw(address, pattern string) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	request := `{"action":"subscribe","topic":"` + pattern + `"}`
	_ = tcp.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(tcp, "GET /ws HTTP/1.1\r\nHost: "+address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+
		"\x81"+string([]byte{0x80 | byte(len(request))})+"\x00\x00\x00\x00"+request) //nolint:gosec // it is short
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(tcp)
	response, err := http.ReadResponse(r, nil) //nolint:bodyclose // there is none
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(response.Status)
	}
	for {
		text, err := readFrame(r)
		if err != nil || strings.HasPrefix(text, `{"type":"ack"`) {
			return tcp, err
		}
	}
}

// readFrame reads a frame of the server's (RFC 6455, section 5.2) that is shorter than
// 64 KiB.
func readFrame(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	size := uint16(head[1])
	if size == 126 {
		if err := binary.Read(r, binary.BigEndian, &size); err != nil {
			return "", err
		}
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(r, payload)
	return string(payload), err
}
