package handlers_test

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"fanfare/models"
)

// short is a timeout that tests wait for.
const short = 250 * time.Millisecond

// TestHalfARequest: who does not finish a request, even by a byte now and then, gets a
// 408 when its part of the time is over, and nothing of it stays.
func TestHalfARequest(t *testing.T) {
	slowHeader := func(s *setup) { s.handlers.HeaderTimeout = short }
	slowBody := func(s *setup) { s.handlers.ReadTimeout = short }
	const get = "GET /topics HTTP/1.1\r\nHost: localhost\r\n"
	const post = publishLine + "Host: localhost\r\n"
	tests := map[string]struct {
		limit   func(*setup)
		request string
		// whole is how many requests it has before the half one.
		whole int
		// silent is for those that do not even drip.
		silent bool
	}{
		"nothing":                          {limit: slowHeader, silent: true},
		"in the line":                      {limit: slowHeader, request: "GET /" + mark},
		"in the header":                    {limit: slowHeader, request: get + "X: " + mark},
		"in the header, silent":            {limit: slowHeader, request: get + "X: " + mark, silent: true},
		"in the last line":                 {limit: slowHeader, request: get + "X: " + mark + "\r\n\r", silent: true},
		"in a handshake":                   {limit: slowHeader, request: "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nX: "},
		"in the header of a later request": {limit: slowHeader, request: get + "\r\n" + get + "X: " + mark, whole: 1},
		"in the body":                      {limit: slowBody, request: post + "Content-Length: 100\r\n\r\n" + mark},
		"in the body, silent":              {limit: slowBody, request: post + "Content-Length: 100\r\n\r\n", silent: true},
		"in a chunk":                       {limit: slowBody, request: post + "Transfer-Encoding: chunked\r\n\r\n64\r\n" + mark},
		"in the body that it may send":     {limit: slowBody, request: post + "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n", whole: 1},
		"in the body of a later request":   {limit: slowBody, request: get + "\r\n" + post + "Content-Length: 100\r\n\r\n", whole: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var open sync.WaitGroup
			s := start(t, tt.limit, func(s *setup) { s.connState = counting(&open) })
			c := s.dialRaw(t)
			c.send(t, tt.request)
			stop := func() {}
			if !tt.silent {
				stop = c.drip()
			}
			answers := c.answers(t)
			stop()
			if len(answers) != tt.whole+1 {
				t.Fatalf("%d answers: %+v", len(answers), answers)
			}
			answers[tt.whole].checkProblem(t, http.StatusRequestTimeout, models.CodeRequestTimeout)
			open.Wait()
		})
	}
}

// counting counts the connections that are open. There must be one before Wait.
func counting(open *sync.WaitGroup) func(net.Conn, fasthttp.ConnState) {
	return func(_ net.Conn, state fasthttp.ConnState) {
		switch state {
		case fasthttp.StateNew:
			open.Add(1)
		case fasthttp.StateClosed:
			open.Done()
		}
	}
}

// TestHeaderTimeoutIsForHeaders: it ends neither a pause between two requests nor a body
// that takes its time.
func TestHeaderTimeoutIsForHeaders(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.HeaderTimeout = short })
	get := "GET /livez HTTP/1.1\r\nHost: " + s.address + "\r\n\r\n"
	idle, body := s.dialRaw(t), s.dialRaw(t)
	idle.send(t, get)
	idle.answer(t, "GET")
	body.send(t, publishLine+"Host: "+s.address+"\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if a := body.answer(t, "POST"); a.status != http.StatusContinue {
		t.Fatalf("%d %s", a.status, a.body)
	}
	body.send(t, "x")

	// This one is cut off after both have waited as long.
	late := s.dialRaw(t)
	late.send(t, "GET")
	if answers := late.answers(t); len(answers) != 1 || answers[0].status != http.StatusRequestTimeout {
		t.Fatalf("half a header: %+v", answers)
	}
	idle.send(t, get)
	if a := idle.answer(t, "GET"); a.status != http.StatusOK {
		t.Errorf("after a pause: %d %s", a.status, a.body)
	}
	body.send(t, "y")
	if a := body.answer(t, "POST"); a.status != http.StatusOK {
		t.Errorf("after a slow body: %d %s", a.status, a.body)
	}
}

// TestRefusalLongAfterAnAnswer: the time that an answer had to leave is not that of a
// refusal on the same connection.
func TestRefusalLongAfterAnAnswer(t *testing.T) {
	s := start(t, func(s *setup) {
		s.handlers.WriteTimeout = short
		s.handlers.HeaderTimeout = 3 * short
	})
	c := s.dialRaw(t)
	c.send(t, strings.Repeat("GET /livez HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n", 2)+"GET")
	answers := c.answers(t)
	if len(answers) != 3 {
		t.Fatalf("%d answers: %+v", len(answers), answers)
	}
	answers[2].checkProblem(t, http.StatusRequestTimeout, models.CodeRequestTimeout)
}
