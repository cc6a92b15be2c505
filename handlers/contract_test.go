package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"

	"fanfare/docs"
	"fanfare/models"
)

// TestContract: the server does what docs/openapi.json says, all of it and nothing else.
func TestContract(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "application/x-ndjson"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	c, err := newContract([]byte(docs.OpenAPI()))
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range c.differences(start(t).app) {
		t.Error(difference)
	}
	t.Run("answers", func(t *testing.T) {
		for name, rig := range rigs() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, exchanges := rig(t)
				for _, e := range exchanges {
					c.try(t, s, e)
				}
			})
		}
		t.Run("streams", c.tryStreams)
		t.Run("a stream that cannot begin", c.tryEndingStream)
		t.Run("a request that does not end", c.tryHalfRequest)
		t.Run("bodies that are too many", c.tryManyBodies)
		t.Run("profiles", c.tryProfiles)
	})
	for _, promise := range c.missing() {
		t.Errorf("documented and never seen: %s", promise)
	}
}

// try does the exchange and holds it to the document.
func (c *contract) try(t *testing.T, s *server, e exchange) {
	t.Helper()
	var a answer
	if e.status == http.StatusSwitchingProtocols || e.path == "/ws" {
		raw := s.dialRaw(t)
		raw.send(t, e.raw(s))
		a = raw.answer(t, e.method)
	} else {
		a = s.do(t, e.method, e.path, e.body, e.headers...)
	}
	if e.code != "" {
		a.checkProblem(t, e.status, e.code)
	}
	c.hold(t, s, e, a)
}

// hold holds what was answered to the document.
func (c *contract) hold(t *testing.T, s *server, e exchange, a answer) {
	t.Helper()
	if a.status != e.status {
		t.Errorf("%s %s: %d %s", e.method, e.path, a.status, a.body)
	}
	// What is not there need not have a name that the document knows.
	isValid := e.status != http.StatusBadRequest && e.status != http.StatusNotFound
	if err := c.check(e.request(t, s), e.body, isValid, a); err != nil {
		t.Errorf("%s %s, %d: %v", e.method, e.path, e.status, err)
	}
}

func (c *contract) tryStreams(t *testing.T) {
	s := start(t)
	c.try(t, s, connecting())
	connected := connecting()
	connected.path += "?format=cloudevents&access_token=any"
	c.try(t, s, connected)
	for _, kind := range []string{"text/event-stream", "application/x-ndjson"} {
		for query, headers := range map[string][]string{
			"topic=news.*&topic=a":              nil,
			"topic=a&since=all&overflow=latest": nil,
			"topic=a&last=1&format=cloudevents": nil,
			"topic=a":                           {"Last-Event-ID", "all"},
		} {
			e := exchange{"GET", "/events?" + query, "", append(headers, "Accept", kind), http.StatusOK, ""}
			l := s.listen(t, query, e.headers...)
			line, _ := l.line()
			if got := l.header.Get("Content-Type"); got != kind {
				t.Errorf("content type %q", got)
			}
			c.hold(t, s, e, answer{status: http.StatusOK, header: l.header, body: line})
		}
	}
}

// tryEndingStream: an EventSource is told by an event, not by a status.
func (c *contract) tryEndingStream(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Clients = 1 })
	s.dial(t)
	c.try(t, s, listening().and("Accept", "text/event-stream"))
}

func (c *contract) tryHalfRequest(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.HeaderTimeout = short })
	e := forAll()[0].with(http.StatusRequestTimeout, models.CodeRequestTimeout)
	raw := s.dialRaw(t)
	raw.send(t, strings.TrimSuffix(e.raw(s), "\r\n"))
	a := raw.answer(t, e.method)
	a.checkProblem(t, e.status, e.code)
	c.hold(t, s, e, a)
}

// tryManyBodies: some large ones that do not end take all that one caller may have.
func (c *contract) tryManyBodies(t *testing.T) {
	s := start(t)
	e := exchange{"POST", "/publish", batchOf("") + strings.Repeat(" ", maxBatchSize*3/4), []string{"Content-Type", "application/json"}, 503, models.CodeOverloaded}
	var a answer
	eventually(t, func() bool {
		s.dialRaw(t).send(t, "POST /publish HTTP/1.1\r\nHost: "+s.address+"\r\nContent-Length: 8388608\r\n\r\n"+
			strings.Repeat(" ", maxBatchSize/2+1))
		a = s.do(t, e.method, e.path, e.body, e.headers...)
		return a.status != http.StatusOK
	})
	a.checkProblem(t, e.status, e.code)
	c.hold(t, s, e, a)
}

// tryProfiles: only one is recorded at a time, and the shutdown ends it.
func (c *contract) tryProfiles(t *testing.T) {
	s := start(t)
	e := exchange{"GET", "/debug/pprof/trace?seconds=60", "", nil, 503, models.CodeShuttingDown}
	recorded := make(chan answer, 1)
	go func() {
		a, err := s.try(e.method, e.path, "")
		if err != nil {
			t.Error(err)
		}
		recorded <- a
	}()
	eventually(t, func() bool { return len(s.log.having("act=profile", "profile=trace")) > 0 })
	second := exchange{"GET", "/debug/pprof/mutex?seconds=1", "", nil, 409, models.CodeConflict}
	var a answer
	eventually(t, func() bool { // the first has been written down, and begins a moment later
		a = s.do(t, second.method, second.path, "")
		return a.status == second.status
	})
	c.hold(t, s, second, a)
	if err := s.app.Shutdown(); err != nil {
		t.Error(err)
	}
	c.hold(t, s, e, <-recorded)
}
