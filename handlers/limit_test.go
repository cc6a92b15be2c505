package handlers_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/handlers"
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

// slowly is a rate at which nothing is filled up again while a test runs.
func slowly(burst int) handlers.Rate { return handlers.Rate{PerSecond: 0.001, Burst: burst} }

func checkRateLimited(t *testing.T, a answer) {
	t.Helper()
	a.checkProblem(t, http.StatusTooManyRequests, models.CodeRateLimited)
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 990 || seconds > 1000 {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
}

// TestRequestRate: whatever is asked for counts, but for the probes and the files of the console;
// each user and each address has a bucket.
func TestRequestRate(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}), proxies("127.0.0.1/32"), func(s *setup) { s.handlers.Settings.Requests = slowly(len(allRoutes())) })
	tests := map[string][]string{
		"a stranger":       {"X-Forwarded-For", "192.0.2.1"},
		"another stranger": {"X-Forwarded-For", "192.0.2.2"},
	}
	for name, headers := range tests {
		t.Run(name, func(t *testing.T) {
			free := func(path string) bool {
				return path == "/livez" || path == "/readyz" || path == "/client.js" || strings.HasPrefix(path, "/console/")
			}
			unlimited := 0
			for name, r := range allRoutes() {
				a := s.do(t, r.method, r.path, r.body, headers...)
				if a.status != r.nobody {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
				if free(r.path) {
					unlimited++
				}
			}
			for range unlimited {
				s.do(t, "GET", "/clients", "", append(bearer("no"), headers...)...).checkProblem(t, http.StatusUnauthorized, models.CodeUnauthorized)
			}
			for name, r := range allRoutes() {
				a := s.do(t, r.method, r.path, r.body, headers...)
				switch {
				case free(r.path):
					if a.status != http.StatusOK {
						t.Errorf("%s: %d %s", name, a.status, a.body)
					}
				case r.method == "HEAD":
					if a.status != http.StatusTooManyRequests {
						t.Errorf("%s: %d", name, a.status)
					}
				default:
					checkRateLimited(t, a)
				}
			}
			checkRateLimited(t, s.do(t, "GET", "/nowhere", "", headers...))
			checkRateLimited(t, s.do(t, "GET", "/ws", "", append(handshake(), headers...)...))
			checkRateLimited(t, s.do(t, "GET", "/clients", "", append(bearer("no"), headers...)...))
			// Who has a name is somebody else.
			s.do(t, "GET", "/clients", "", append(bearer(token("ada", nil)), headers...)...).checkProblem(t, http.StatusForbidden, models.CodeForbidden)
		})
	}
	// Of the second the log may have less: it takes only so many refusals.
	if want := `outcome=refused act="GET /nowhere" code=rate_limited by.user="" by.address=192.0.2.`; !strings.Contains(s.log.String(), want) {
		t.Errorf("the log has no %s", want)
	}
}

// TestRequestRateOfAnEventSource: a browser would give up for good at a 429.
func TestRequestRateOfAnEventSource(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.Requests = slowly(1) })
	s.get(t, "/topics")
	l := s.listen(t, "topic=a", "Accept", "text/event-stream")
	if e := l.next(); e.name != "error" || !strings.Contains(e.data, `"code":"rate_limited"`) {
		t.Errorf("got %+v", e)
	}
	if e := l.next(); e.name != "close" || l.retry == "" {
		t.Errorf("got %+v, retry %q", e, l.retry)
	}
	if want := `outcome=refused act="GET /events" code=rate_limited `; !strings.Contains(s.log.String(), want) {
		t.Errorf("the log has no %s", want)
	}
}

// TestFrameRate: frames and requests have one bucket, over all connections of a user. The
// connection stays, and pings are answered.
func TestFrameRate(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}), func(s *setup) { s.handlers.Settings.Requests = slowly(6) })
	ada := bearer(token("ada", grant{"subscribe": []string{"a"}, "publish": []string{"a"}}))
	one, two := s.dial(t, ada...), s.dial(t, ada...)
	one.subscribe(t, "a")
	two.ask(t, `{"action":"ping"}`)
	if got := settleError(t, two.ask(t, `no JSON`)); got != failure(models.CodeInvalidJSON, "") {
		t.Errorf("got %s", got)
	}
	s.publish(t, "a", "1", ada...) // the last
	one.next(t)
	for frame, ref := range map[string]string{
		`{"action":"ping","ref":1}`:                           "1",
		`{"action":"publish","topic":"a","data":1,"ref":"x"}`: `"x"`,
		`{"action":"unsubscribe","topic":"a"}`:                "",
		`{"action":"nothing","ref":2}`:                        "2",
		`{"ref":`:                                             "",
	} {
		if got := one.askError(t, frame); got != failure(models.CodeRateLimited, ref) {
			t.Errorf("%s: %s", frame, got)
		}
	}
	if err := one.WriteMessage(websocket.BinaryMessage, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if got := settleError(t, one.next(t)); got != failure(models.CodeRateLimited, "") {
		t.Errorf("got %s", got)
	}
	checkRateLimited(t, s.do(t, "POST", "/topics/a/publish", "1", ada...))

	pong := make(chan string, 1)
	one.SetPongHandler(func(payload string) error { pong <- payload; return nil })
	if err := one.WriteControl(websocket.PingMessage, []byte("p"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	one.ask(t, `{"action":"ping"}`)
	if got := <-pong; got != "p" {
		t.Errorf("pong %q", got)
	}
	if want := "outcome=refused act=publish code=rate_limited by.user=ada "; !strings.Contains(s.log.String(), want) {
		t.Errorf("the log has no %s", want)
	}
}

// TestPublishRate: every message that is offered counts, over whatever it comes.
func TestPublishRate(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{Publish: []models.Pattern{"a"}}), func(s *setup) { s.handlers.Settings.Publishes = slowly(5) })
	ada := bearer(token("ada", grant{"publish": []string{"a"}, "admin": true}))
	c := s.dial(t, ada...)
	s.publish(t, "a", "1", ada...)
	c.ask(t, `{"action":"publish","topic":"a","data":2,"ref":1}`)
	a := s.do(t, "POST", "/publish", batchOf(
		`{"topic":"a","data":3}`, `{"topic":"b","data":"forbidden"}`, `{"topic":"a","data":4}`, `{"topic":"a","data":5}`, `{"topic":"a","data":6}`), ada...)
	var batch struct {
		Results []batchResult `json:"results"`
	}
	unmarshal(t, a.body, &batch)
	var got []int
	for _, r := range batch.Results {
		got = append(got, r.Status)
	}
	if want := []int{0, 403, 0, 429, 429}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: %s", got, want, a.body)
	}
	checkRateLimited(t, s.do(t, "POST", "/topics/a/publish", "7", ada...))
	if got := c.askError(t, `{"action":"publish","topic":"a","data":8,"ref":2}`); got != failure(models.CodeRateLimited, "2") {
		t.Errorf("got %s", got)
	}
	// Nothing else is limited, and nobody else.
	c.ask(t, `{"action":"ping"}`)
	if a := s.do(t, "GET", "/topics", "", ada...); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.publish(t, "a", "9")
	var data []string
	for _, m := range s.retained(t, "a") {
		data = append(data, string(m.Data))
	}
	if want := []string{"1", "2", "3", "4", "9"}; !slices.Equal(data, want) {
		t.Errorf("published was %v, want %v", data, want)
	}
	if n := strings.Count(s.log.String(), "code=rate_limited"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, s.log)
	}
}

// TestClientsOfAnAddress: WebSockets, streams and polls count together, and are refused before
// the upgrade. Other addresses come in.
func TestClientsOfAnAddress(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{Subscribe: []models.Pattern{">"}}), proxies("127.0.0.1/32"),
		func(s *setup) { s.broker.ClientsPerAddress = 3 })
	from := func(address string) []string { return []string{"X-Forwarded-For", address} }
	refused := func(headers []string) {
		t.Helper()
		for _, a := range []answer{
			s.do(t, "GET", "/ws", "", append(handshake(), headers...)...),
			s.do(t, "GET", "/events?topic=a", "", headers...),
			s.do(t, "GET", "/topics/a/messages?wait=60s", "", headers...),
		} {
			checkTooManyClients(t, a)
			if !strings.Contains(a.body, "your address") {
				t.Errorf("it does not say why: %s", a.body)
			}
		}
	}
	c := s.dial(t, from("192.0.2.1")...)
	s.listen(t, "topic=a", from("192.0.2.1")...).next()
	polled := make(chan answer, 1)
	go func() {
		a, _ := s.try("GET", "/topics/poll/messages?wait=60s", "", from("192.0.2.1")...)
		polled <- a
	}()
	root := bearer(token("root", grant{"admin": true, "publish": []string{">"}}))
	eventually(t, func() bool {
		return strings.Contains(s.do(t, "GET", "/clients", "", root...).body, `"transport":"poll"`)
	})
	refused(from("192.0.2.1"))
	s.dial(t, from("192.0.2.2")...)
	if a := s.do(t, "GET", "/topics/a/messages", "", from("192.0.2.1")...); a.status != http.StatusOK {
		t.Errorf("what is no client: %d %s", a.status, a.body)
	}

	s.publish(t, "poll", "1", root...)
	if a := <-polled; a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.dial(t, from("192.0.2.1")...)
	refused(from("192.0.2.1"))
	_ = c.Close()
	eventually(t, func() bool {
		return s.do(t, "HEAD", "/events?topic=a", "", from("192.0.2.1")...).status == http.StatusOK
	})
	s.dial(t, from("192.0.2.1")...)
}
