package handlers_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"fanfare/models"
)

const publishLine = "POST /topics/a/publish HTTP/1.1\r\n"

// What is no proper HTTP/1.1 gets a problem and the end of the connection, whatever
// follows on it.
func TestRequestsThatAreNone(t *testing.T) {
	s := start(t)
	host := "Host: " + s.address + "\r\n"
	next := "GET /livez HTTP/1.1\r\n" + host + "\r\n"
	tests := map[string]struct {
		request string
		status  int
		code    models.Code
	}{
		"no HTTP at all":         {"HELLO " + mark + "\r\n\r\n", 400, models.CodeInvalidRequest},
		"no version":             {"GET /topics\r\n" + host + "\r\n", 400, models.CodeInvalidRequest},
		"HTTP/2 preface":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, models.CodeInvalidRequest},
		"no Host":                {"GET /topics HTTP/1.1\r\n\r\n", 400, models.CodeInvalidRequest},
		"two Hosts":              {"GET /topics HTTP/1.1\r\n" + host + "Host: " + mark + "\r\n\r\n", 400, models.CodeInvalidRequest},
		"two Hosts, own last":    {"GET /topics HTTP/1.1\r\nHost: " + mark + "\r\n" + host + "\r\n", 400, models.CodeInvalidRequest},
		"NUL in a header":        {"GET /topics HTTP/1.1\r\n" + host + "X: " + mark + "\x00\r\n\r\n", 400, models.CodeInvalidRequest},
		"NUL in the path":        {"GET /topics/" + mark + "\x00 HTTP/1.1\r\n" + host + "\r\n", 400, models.CodeInvalidRequest},
		"CR in a header":         {"GET /topics HTTP/1.1\r\n" + host + "X: " + mark + "\rY: b\r\n\r\n", 400, models.CodeInvalidRequest},
		"folded header":          {"GET /topics HTTP/1.1\r\n" + host + " X: " + mark + "\r\n\r\n", 400, models.CodeInvalidRequest},
		"space before the colon": {"GET /topics HTTP/1.1\r\n" + host + "X : " + mark + "\r\n\r\n", 400, models.CodeInvalidRequest},
		"two lengths":            {publishLine + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, models.CodeInvalidRequest},
		"length below 0":         {publishLine + host + "Content-Length: -1\r\n\r\nhello", 400, models.CodeInvalidRequest},
		"length with a sign":     {publishLine + host + "Content-Length: +5\r\n\r\nhello", 400, models.CodeInvalidRequest},
		"length overflows":       {publishLine + host + "Content-Length: 99999999999999999999999\r\n\r\nhello", 400, models.CodeInvalidRequest},
		"length and chunked":     {publishLine + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n", 400, models.CodeInvalidRequest},
		"chunked and length":     {publishLine + host + "Transfer-Encoding: Chunked\r\ncontent-length: 1\r\n\r\n1\r\n1\r\n0\r\n\r\n", 400, models.CodeInvalidRequest},
		"length first":           {publishLine + "Content-Length: 1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n", 400, models.CodeInvalidRequest},
		"length as a trailer":    {publishLine + host + "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nContent-Length: 5\r\n\r\n", 400, models.CodeInvalidRequest},
		"CR in a key":            {publishLine + host + "Idempotency-Key: " + mark + "\rX: y\r\nContent-Length: 1\r\n\r\n1", 400, models.CodeInvalidRequest},
		"large trailer":          {publishLine + host + "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431, models.CodeHeadersTooLarge},
		"chunks that are none":   {publishLine + host + "Transfer-Encoding: chunked\r\n\r\n" + mark + "\r\n\r\n", 400, models.CodeInvalidRequest},
		"compressed transfer":    {publishLine + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, models.CodeInvalidRequest},
		"long request line":      {"GET /topics?" + mark + strings.Repeat("a", 16<<10) + " HTTP/1.1\r\n" + host + "\r\n", 431, models.CodeHeadersTooLarge},
		"long header":            {"GET /topics HTTP/1.1\r\n" + host + "X: " + strings.Repeat(mark, 4<<10) + "\r\n\r\n", 431, models.CodeHeadersTooLarge},
		"64 KiB of header":       {"GET /topics HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431, models.CodeHeadersTooLarge},
		"many headers":           {"GET /topics HTTP/1.1\r\n" + host + strings.Repeat("X: "+mark+"\r\n", 4<<10) + "\r\n", 431, models.CodeHeadersTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.dialRaw(t)
			c.send(t, tt.request+next)
			answers := c.answers(t)
			if len(answers) != 1 {
				t.Fatalf("%d answers, want one: %+v", len(answers), answers)
			}
			answers[0].checkProblem(t, tt.status, tt.code)
		})
	}
}

// A server and a proxy that disagree on where a request ends let a second one pass
// unseen (RFC 9112, section 11.2).
func TestNoRequestIsSmuggled(t *testing.T) {
	s := start(t)
	host := "Host: " + s.address + "\r\n"
	smuggled := "POST /topics/smuggled/publish HTTP/1.1\r\n" + host + "Content-Length: 1\r\n\r\nx"
	tests := map[string]string{
		"length and chunked": publishLine + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked and length": publishLine + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"length and chunked, with a body": publishLine + host +
			"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunked twice": publishLine + host +
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"chunked under another name": publishLine + host +
			"Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"identity and length":   publishLine + host + "Content-Length: 1\r\nTransfer-Encoding: identity\r\n\r\nx",
		"body of a GET":         "GET /livez HTTP/1.1\r\n" + host + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)),
		"chunk extension":       publishLine + host + "Transfer-Encoding: chunked\r\n\r\n1;\n\r\nx\r\n0\r\n\r\n",
		"line feeds in a chunk": publishLine + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\nx\n0\n\n",
	}
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			c.send(t, request+smuggled)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if answers := c.answers(t); len(answers) > 1 {
				t.Errorf("%d answers: %+v", len(answers), answers)
			}
			if messages := s.retained(t, "smuggled"); len(messages) != 0 {
				t.Fatal("the second request was carried out")
			}
		})
	}
}

// TestUnreadAnswer: who does not take an answer does not keep it in memory for good.
func TestUnreadAnswer(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := start(t, func(s *setup) {
		s.handlers.WriteTimeout = 100 * time.Millisecond
		s.connState = func(_ net.Conn, state fasthttp.ConnState) {
			if state == fasthttp.StateClosed {
				closed <- struct{}{}
			}
		}
	})
	c := s.dialRaw(t)
	// Far more than what the kernel takes for the connection.
	c.send(t, strings.Repeat("GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n", 50))
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("the connection is still open")
	}
}

// drip sends a byte now and then, until stop or until nobody listens any more.
func (c *rawConn) drip() (stop func()) {
	ticker := time.NewTicker(10 * time.Millisecond)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				if _, err := c.Write([]byte("a")); err != nil {
					return
				}
			case <-stopped:
				return
			}
		}
	}()
	stop = func() {
		ticker.Stop()
		close(stopped)
		<-ended
	}
	return stop
}

// The client writes all of its body before it reads, as Node and Python do. What has come to its
// end leaves a connection that is good for another request.
func TestTooLargeBodyIsAnsweredToThoseWhoReadLate(t *testing.T) {
	s := start(t)
	host := "Host: " + s.address + "\r\n"
	const size = 4 << 20
	body := strings.Repeat(mark+"\n", size/8)
	tests := map[string]struct {
		header, body string
		status100    bool
	}{
		"length": {header: fmt.Sprintf("Content-Length: %d\r\n", size), body: body},
		"one byte too many": {
			header: fmt.Sprintf("Content-Length: %d\r\n", messageSize+1), body: body[:messageSize+1],
		},
		"chunked": {
			header: "Transfer-Encoding: chunked\r\n",
			body:   strings.Repeat("10000\r\n"+body[:1<<16]+"\r\n", size>>16) + "0\r\n\r\n",
		},
		"one chunk":  {header: "Transfer-Encoding: chunked\r\n", body: fmt.Sprintf("%x\r\n", size) + body + "\r\n0\r\n\r\n"},
		"huge claim": {header: "Content-Length: 9000000000000000000\r\n", body: body},
		"asks before it sends": {
			header: fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue\r\n", size), body: body, status100: true,
		},
		"does not wait for what it asked": {
			header: fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue\r\n", size), body: body,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.dialRaw(t)
			c.send(t, publishLine+host+tt.header+"\r\n")
			if tt.status100 {
				if a := c.answer(t, "POST"); a.status != 100 {
					a.checkProblem(t, 413, models.CodePayloadTooLarge)
					return
				}
			}
			c.send(t, tt.body)
			a := c.answer(t, "POST")
			if a.status == 100 {
				a = c.answer(t, "POST")
			}
			a.checkProblem(t, 413, models.CodePayloadTooLarge)
			if name == "huge claim" {
				if more := c.answers(t); len(more) != 0 {
					t.Errorf("more answers: %+v", more)
				}
				return
			}
			c.send(t, "GET /livez HTTP/1.1\r\n"+host+"\r\n")
			if a := c.answer(t, "GET"); a.status != 200 {
				t.Errorf("the next request: %d %s", a.status, a.body)
			}
		})
	}
}

// A body of exactly the limit is taken, and its connection stays open, as it does after
// a message that became too large only as JSON.
func TestLargestBody(t *testing.T) {
	s := start(t)
	host := "Host: " + s.address + "\r\n"
	head := publishLine + host + "Content-Type: application/json\r\n"
	largest := `"` + strings.Repeat("a", messageSize-2) + `"`
	asText := publishLine + host + "Content-Type: text/plain\r\n"
	c := s.dialRaw(t)
	for range 2 {
		c.send(t, head+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(largest))+largest)
		if a := c.answer(t, "POST"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		c.send(t, asText+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(largest))+largest)
		c.answer(t, "POST").checkProblem(t, 413, models.CodePayloadTooLarge)
	}
	c.send(t, head+fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(largest)))
	if a := c.answer(t, "POST"); a.status != 100 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	c.send(t, largest)
	if a := c.answer(t, "POST"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if messages := s.retained(t, "a"); len(messages) != 3 || string(messages[0].Data) != largest {
		t.Errorf("%d messages", len(messages))
	}
}

func TestHead(t *testing.T) {
	s := start(t)
	s.publish(t, "a", "x")
	c := s.dialRaw(t)
	for _, path := range []string{"/topics", "/topics/a", "/topics/a/messages", "/topics/a/clients", "/clients", "/livez", "/readyz", "/", "/swagger/", "/swagger/doc.json", "/swagger/swagger-ui.css"} {
		get := s.get(t, path)
		c.send(t, "HEAD "+path+" HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n")
		head := c.answer(t, "HEAD")
		if head.status != 200 || head.body != "" {
			t.Errorf("HEAD %s: %d, a body of %d bytes", path, head.status, len(head.body))
		}
		for _, name := range []string{"Content-Type", "Content-Length"} {
			if got, want := head.header.Get(name), get.header.Get(name); got != want {
				t.Errorf("HEAD %s has %s %q, GET %q", path, name, got, want)
			}
		}
	}
}

// TestGzipBomb: a small body that would be a very large one is refused as it is.
func TestGzipBomb(t *testing.T) {
	const inflated = 60 * messageSize * 16 // some 60 MiB in 60 KiB
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range inflated / messageSize {
		if _, err := w.Write(make([]byte, messageSize)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if bomb.Len() > messageSize {
		t.Fatalf("the bomb itself has %d bytes", bomb.Len())
	}
	s := start(t)
	for _, path := range []string{"/topics/a/publish", "/publish"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.do(t, "POST", path, bomb.String(), "Content-Encoding", "gzip").checkProblem(t, 415, models.CodeUnsupportedEncoding)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > inflated/4 {
			t.Errorf("%s: %d bytes were allocated", path, n)
		}
	}
}
