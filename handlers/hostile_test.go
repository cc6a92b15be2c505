package handlers_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

// TestRefusedConnectionsAreOfAnAddressToo: who has been refused, or has left and lingers, holds a
// connection of limits.clients. It has to count for its address, or one address takes them all.
func TestRefusedConnectionsAreOfAnAddressToo(t *testing.T) {
	for name, leave := range map[string]bool{"with bad tokens": false, "who leave and stay": true} {
		t.Run(name, func(t *testing.T) {
			const limit = 8
			s := start(t, withAuth(t, models.Scopes{}), proxies("127.0.0.1/32"), func(s *setup) {
				s.broker.Clients, s.carrier.Connections, s.broker.ClientsPerAddress, s.carrier.ConnectionsPerNetwork = limit, limit, 2, 2
			})
			header := http.Header{"X-Forwarded-For": {"192.0.2.1"}}
			query := "?access_token=no"
			if leave {
				query = ""
			}
			for range 2 * limit {
				conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws"+query, header)
				if err != nil {
					_ = response.Body.Close()
					continue
				}
				t.Cleanup(func() { _ = conn.Close() })
				if leave {
					_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
				}
				// The last that comes is the close: then it is no client any more, or never was one.
				for err = nil; err == nil; _, _, err = conn.ReadMessage() {
				}
			}
			s.dial(t, append(bearer(token("ada", nil)), "X-Forwarded-For", "192.0.2.2")...) // is not kept out
		})
	}
}

// TestPromisedBodiesTakeNoMemory: what a stranger only says that it will send takes no memory.
func TestPromisedBodiesTakeNoMemory(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const conns = 32
	for range conns {
		s.dialRaw(t).send(t, fmt.Sprintf("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n{", 8<<20))
	}
	for range 200 { // others are served, and by then these have been looked at
		s.get(t, "/livez")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc; grown > conns<<20 {
		t.Errorf("%d connections that sent one byte of a body each, and no token, take %d MiB", conns, grown>>20)
	}
}

// TestUnknownActionIsNotLogged: an action is whatever a client writes.
func TestUnknownActionIsNotLogged(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.Requests = slowly(1) })
	c := s.dial(t)
	if got := c.askError(t, `{"action":"`+mark+strings.Repeat("x", 10_000)+`"}`); got != failure(models.CodeRateLimited, "") {
		t.Errorf("got %s", got)
	}
	if log := s.log.String(); strings.Contains(log, mark) || !strings.Contains(log, "code=rate_limited") {
		t.Errorf("the log has what the client sent, or no refusal: %.300s", log[max(0, strings.Index(log, "msg=audit")):])
	}
}

// TestRateLimitedIsNoSuccess: only an EventSource is told in a 200.
func TestRateLimitedIsNoSuccess(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.Requests = slowly(1) })
	s.get(t, "/topics")
	for _, route := range [][2]string{{"POST", "/topics/a/publish"}, {"DELETE", "/topics/a/messages"}, {"GET", "/topics/a/messages"}} {
		checkRateLimited(t, s.do(t, route[0], route[1], "1", "Accept", "application/json, text/event-stream"))
	}
}

// TestTooManyTopicsCostNoScopes: a frame may name a quarter of a million topics, and a token have
// hundreds of scopes. Too many are refused before each is compared with each.
func TestTooManyTopicsCostNoScopes(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}), func(s *setup) { s.broker.Subscriptions = 2 })
	c := s.dial(t, bearer(token("ada", grant{"subscribe": []string{"z"}}))...)
	if got := c.askError(t, `{"action":"subscribe","topics":["z","b","z","c"],"ref":1}`); got != failure(models.CodeTooManySubscriptions, "1") {
		t.Errorf("got %s", got)
	}
	if got := c.askError(t, `{"action":"subscribe","topics":["z","b","z","b"],"ref":2}`); got != failure(models.CodeForbidden, "2") {
		t.Errorf("got %s", got)
	}
}

// TestEarlyAnswer: who is refused is answered before it has sent its body, be it announced or not.
func TestEarlyAnswer(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}), func(s *setup) { s.handlers.ReadTimeout = 10 * patience })
	for name, header := range map[string]string{
		"chunked":  "Transfer-Encoding: chunked\r\n\r\n",
		"a part":   "Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 10_000),
		"no route": "Transfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := "/topics/a/publish"
			if name == "no route" {
				path = "/nowhere"
			}
			c := s.dialRaw(t)
			c.send(t, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\n"+header)
			if a := c.answer(t, "POST"); a.status < 400 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// TestCutBodyIsNoMessage: a client that dies in the middle of a body has published nothing, however
// large it was to be, and whoever then repeats it with the same key is not told that it was another.
func TestCutBodyIsNoMessage(t *testing.T) {
	for _, size := range []int{60_000, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := start(t, func(s *setup) { s.handlers.MessageSize, s.broker.MessageSize = 1<<20, 1<<20 })
			request := fmt.Sprintf("POST /topics/a/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"+
				"Idempotency-Key: k\r\nContent-Length: %d\r\n\r\n", size)
			cut := s.dialRaw(t)
			cut.send(t, request+strings.Repeat("a", size-10_000))
			if err := cut.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := cut.answer(t, "POST"); got.status != http.StatusBadRequest {
				t.Errorf("a body of %d bytes, cut 10,000 before its end: got %d", size, got.status)
			}
			again := s.dialRaw(t)
			again.send(t, request+strings.Repeat("a", size))
			if got := again.answer(t, "POST"); got.status != http.StatusOK {
				t.Errorf("the whole body, with the same key: got %d", got.status)
			}
		})
	}
}

// TestLargeBodiesAreShared: bodies that are on their way take no more than their share, and give it
// back. What is small needs none.
func TestLargeBodiesAreShared(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	line := func(who string) string {
		return "POST /publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token(who, grant{"publish": []string{">"}}) + "\r\n"
	}
	const size = 8 << 20
	part := strings.Repeat(" ", size-1)
	stall := func() *rawConn {
		c := s.dialRaw(t)
		c.send(t, line("eve")+fmt.Sprintf("Content-Length: %d\r\n\r\n", size)+part)
		return c
	}
	stalled := []*rawConn{stall(), stall(), stall(), stall()} // of 8 MiB each, one byte short
	ask := func(who, body string) int {
		c := s.dialRaw(t)
		c.send(t, line(who)+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))+body)
		return c.answer(t, "POST").status
	}
	small := batchOf(`{"topic":"a","data":1}`)
	large := small + strings.Repeat(" ", 1<<20)
	eventually(t, func() bool {
		for i, c := range stalled {
			if c.isAnswered(t) { // what was asked meanwhile has taken its share
				stalled[i] = stall()
			}
		}
		return ask("eve", large) == http.StatusServiceUnavailable
	})
	if got := ask("eve", small); got != http.StatusOK {
		t.Errorf("a small one: %d", got)
	}
	if got := ask("ada", large); got != http.StatusOK {
		t.Errorf("somebody else's: %d", got)
	}
	for _, c := range stalled {
		c.send(t, "x")
		c.answer(t, "POST").checkProblem(t, http.StatusBadRequest, models.CodeInvalidJSON)
	}
	if got := ask("eve", large); got != http.StatusOK {
		t.Errorf("afterwards: %d", got)
	}
}

// TestNoBodyWhereTheConnectionIsTakenOver: it would be taken for what the client says next.
func TestNoBodyWhereTheConnectionIsTakenOver(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/ws", "/events?topic=a"} {
		s.do(t, "GET", path, "x", handshake()...).checkProblem(t, http.StatusBadRequest, models.CodeInvalidRequest)
	}
}
