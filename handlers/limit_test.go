package handlers_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

// TestClientLimit: of many who come at once, as many get in as there is room for; the
// others are told, and get in when somebody leaves.
func TestClientLimit(t *testing.T) {
	const limit, many = 5, 50
	s := start(t, func(s *setup) { s.broker.Clients = limit })
	var late atomic.Int64
	clients, responses := make([]*websocket.Conn, many), make([]*http.Response, many)
	var dialing sync.WaitGroup
	for i := range many {
		dialing.Go(func() {
			conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws", nil) //nolint:bodyclose // newAnswer does
			if err != nil {
				responses[i] = response
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, frame, err := conn.ReadMessage()
			if err == nil && strings.HasPrefix(string(frame), `{"type":"welcome"`) {
				clients[i] = conn
				return
			}
			// Others came between its handshake and its first frame.
			late.Add(1)
			_, _, err = conn.ReadMessage()
			if !strings.Contains(string(frame), `"code":"too_many_clients"`) || !websocket.IsCloseError(err, websocket.CloseGoingAway) {
				t.Errorf("after the handshake: %s, and %v", frame, err)
			}
		})
	}
	dialing.Wait()
	clients = slices.DeleteFunc(clients, func(c *websocket.Conn) bool { return c == nil })
	responses = slices.DeleteFunc(responses, func(r *http.Response) bool { return r == nil }) //nolint:bodyclose // newAnswer does
	if len(clients) != limit || len(responses)+int(late.Load()) != many-limit {
		t.Fatalf("%d got in, %d and %d did not", len(clients), len(responses), late.Load())
	}
	t.Logf("%d were refused after the handshake", late.Load())
	for _, response := range responses {
		a, err := newAnswer(response, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkTooManyClients(t, a)
	}
	checkTooManyClients(t, s.do(t, "GET", "/ws", "", handshake()...))

	_ = clients[0].Close()
	eventually(t, func() bool {
		conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws", nil)
		if err != nil {
			_ = response.Body.Close()
			return false
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, frame, err := conn.ReadMessage()
		return err == nil && strings.HasPrefix(string(frame), `{"type":"welcome"`)
	})
	checkTooManyClients(t, s.do(t, "GET", "/ws", "", handshake()...))
	if a := s.get(t, "/readyz"); a.status != http.StatusOK {
		t.Errorf("readyz: %d %s", a.status, a.body)
	}
}

func checkTooManyClients(t *testing.T, a answer) {
	t.Helper()
	a.checkProblem(t, http.StatusServiceUnavailable, models.CodeTooManyClients)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
}
