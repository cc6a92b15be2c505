package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// brokenEngine fails, or worse, where the test says so.
type brokenEngine struct {
	broker.Engine
	publish func() error
	ready   error
}

func (e brokenEngine) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	if e.publish == nil {
		return e.Engine.Publish(ctx, draft)
	}
	return models.Receipt{}, e.publish()
}

func (e brokenEngine) Topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	if e.publish == nil {
		return e.Engine.Topics(ctx, filter)
	}
	return nil, e.publish()
}

func (e brokenEngine) Ready(context.Context) error { return e.ready }

// badTopics are names that no route takes, as they stand in a path.
func badTopics() map[string]string {
	return map[string]string{
		"bad percent escape":      mark + "%zz",
		"cut percent escape":      mark + "%2",
		"lone percent":            mark + "%",
		"empty token":             mark + "..b",
		"dot in front":            "." + mark,
		"dot at the end":          mark + ".",
		"only a dot":              ".",
		"star":                    mark + ".*",
		"star in a token":         mark + "*",
		"greater than":            mark + ".%3E",
		"256 bytes":               strings.Repeat("a", 256),
		"256 bytes of UTF-8":      strings.Repeat("%C3%BC", 128),
		"invalid UTF-8":           mark + "%FF",
		"surrogate":               mark + "%ED%A0%80",
		"overlong dot":            mark + "%C0%AE",
		"reserved":                "$" + mark,
		"reserved, encoded":       "%24" + mark,
		"space":                   mark + "%20b",
		"non-breaking space":      mark + "%C2%A0b",
		"line separator":          mark + "%E2%80%A8b",
		"tab":                     mark + "%09",
		"line feed":               mark + "%0A",
		"NUL":                     mark + "%00",
		"DEL":                     mark + "%7F",
		"control character in C1": mark + "%C2%85",
	}
}

func TestBadTopicsAreRefusedOnEveryRoute(t *testing.T) {
	s := start(t)
	for name, topic := range badTopics() {
		t.Run(name, func(t *testing.T) {
			t.Run("publish", func(t *testing.T) {
				s.do(t, "POST", "/topics/"+topic+"/publish", "x").checkProblem(t, 400, models.CodeInvalidTopic)
			})
			t.Run("topic", func(t *testing.T) {
				s.get(t, "/topics/"+topic).checkProblem(t, 400, models.CodeInvalidTopic)
			})
		})
	}
	for name, path := range map[string]string{
		"clients by a pattern":        "/clients?topic=" + mark + ".*",
		"clients by a reserved topic": "/clients?topic=$" + mark,
		"clients by invalid UTF-8":    "/clients?topic=" + mark + "%FF",
		"topics by half a wildcard":   "/topics?pattern=" + mark + "*",
		"topics by a tail inside":     "/topics?pattern=%3E." + mark,
	} {
		t.Run(name, func(t *testing.T) {
			s.get(t, path).checkProblem(t, 400, models.CodeInvalidTopic)
		})
	}
	if topics := s.retained(t, ">"); len(topics) != 0 {
		t.Errorf("something was published: %v", topics)
	}
}

func TestProblems(t *testing.T) {
	s := start(t)
	const publish = "/topics/a/publish"
	asJSON := []string{"Content-Type", "application/json"}
	tests := map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               models.Code
		header             map[string]string
	}{
		"declared as JSON, but is not": {
			method: "POST", path: publish, body: mark, headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"JSON cut off": {
			method: "POST", path: publish, body: `{"` + mark + `":`, headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"two JSON values": {
			method: "POST", path: publish, body: `1 2`, headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"JSON with a name twice": {
			method: "POST", path: publish, body: `{"` + mark + `":1,"` + mark + `":2}`, headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"JSON with invalid UTF-8": {
			method: "POST", path: publish, body: "\"" + mark + "\xff\"", headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"JSON with half a surrogate pair": {
			method: "POST", path: publish, body: `"` + mark + `\ud800"`, headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"white space alone is no JSON": {
			method: "POST", path: publish, body: " \n", headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"JSON nested too deep": {
			method: "POST", path: publish, body: strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), headers: asJSON,
			status: 400, code: models.CodeInvalidJSON,
		},
		"empty body": {
			method: "POST", path: publish,
			status: 400, code: models.CodeInvalidRequest,
		},
		"empty body declared as JSON": {
			method: "POST", path: publish, headers: asJSON,
			status: 400, code: models.CodeInvalidRequest,
		},
		"limit 0":            {method: "GET", path: "/topics?limit=0", status: 400, code: models.CodeInvalidRequest},
		"limit below 0":      {method: "GET", path: "/topics?limit=-1", status: 400, code: models.CodeInvalidRequest},
		"limit too large":    {method: "GET", path: "/topics?limit=10001", status: 400, code: models.CodeInvalidRequest},
		"limit is no number": {method: "GET", path: "/clients?limit=" + mark, status: 400, code: models.CodeInvalidRequest},
		"limit overflows":    {method: "GET", path: "/clients?limit=99999999999999999999", status: 400, code: models.CodeInvalidRequest},

		"query, bad escape":   {method: "GET", path: "/events?topic=" + mark + "%zz", status: 400, code: models.CodeInvalidRequest},
		"query, cut escape":   {method: "GET", path: "/topics?pattern=" + mark + "%2", status: 400, code: models.CodeInvalidRequest},
		"query, lone percent": {method: "GET", path: "/topics/a?" + mark + "%", status: 400, code: models.CodeInvalidRequest},
		"query, line ends":    {method: "GET", path: "/events?topic=" + mark + "%0d%0aX:y", status: 400, code: models.CodeInvalidTopic},

		"no such route":         {method: "GET", path: "/" + mark, status: 404, code: models.CodeNotFound},
		"route in another case": {method: "GET", path: "/Topics", status: 404, code: models.CodeNotFound},
		"route with a slash":    {method: "GET", path: "/topics/", status: 404, code: models.CodeNotFound},
		"topic of no name":      {method: "POST", path: "/topics//publish", body: "x", status: 404, code: models.CodeNotFound},
		"topic with a slash that is not encoded": {
			method: "GET", path: "/topics/" + mark + "/b", status: 404, code: models.CodeNotFound,
		},
		"no such topic":               {method: "GET", path: "/topics/" + mark, status: 404, code: models.CodeNotFound},
		"no such client":              {method: "GET", path: "/clients/" + mark, status: 404, code: models.CodeNotFound},
		"no such client to close":     {method: "DELETE", path: "/clients/" + mark, status: 404, code: models.CodeNotFound},
		"no such file":                {method: "GET", path: "/swagger/" + mark, status: 404, code: models.CodeNotFound},
		"file named like a route":     {method: "GET", path: "/swagger/topics", status: 404, code: models.CodeNotFound},
		"file above the root":         {method: "GET", path: "/swagger/..%2F..%2Fgo.mod", status: 404, code: models.CodeNotFound},
		"unknown method on no route":  {method: "FOO", path: "/" + mark, status: 404, code: models.CodeNotFound},
		"OPTIONS on no route":         {method: "OPTIONS", path: "/" + mark, status: 404, code: models.CodeNotFound},
		"a topic's name is not a URL": {method: "GET", path: "/topics/http:%2F%2F" + mark, status: 404, code: models.CodeNotFound},

		"POST to a list": {
			method: "POST", path: "/topics", body: mark,
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "GET, HEAD"},
		},
		"GET of a publish": {
			method: "GET", path: publish,
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "POST"},
		},
		"PATCH": {
			method: "PATCH", path: "/clients/" + mark,
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "GET, HEAD, DELETE"},
		},
		"TRACE": {
			method: "TRACE", path: "/clients",
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "GET, HEAD, DELETE"},
		},
		"OPTIONS": {
			method: "OPTIONS", path: publish,
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "POST"},
		},
		"PROPFIND": {
			method: "PROPFIND", path: "/topics",
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "GET, HEAD"},
		},
		"FOO": {
			method: "FOO", path: publish, body: mark,
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "POST"},
		},
		"get in lower case": {
			method: "get", path: "/livez",
			status: 405, code: models.CodeMethodNotAllowed, header: map[string]string{"Allow": "GET, HEAD"},
		},

		"gzip": {
			method: "POST", path: publish, body: mark, headers: []string{"Content-Encoding", "gzip"},
			status: 415, code: models.CodeUnsupportedEncoding, header: map[string]string{"Accept-Encoding": "identity"},
		},
		"deflate": {
			method: "POST", path: publish, body: mark, headers: []string{"Content-Encoding", "deflate"},
			status: 415, code: models.CodeUnsupportedEncoding, header: map[string]string{"Accept-Encoding": "identity"},
		},
		"unknown encoding": {
			method: "POST", path: publish, body: mark, headers: []string{"Content-Encoding", mark},
			status: 415, code: models.CodeUnsupportedEncoding, header: map[string]string{"Accept-Encoding": "identity"},
		},
		"two encodings": {
			method: "POST", path: publish, body: mark, headers: []string{"Content-Encoding", "identity, gzip"},
			status: 415, code: models.CodeUnsupportedEncoding, header: map[string]string{"Accept-Encoding": "identity"},
		},
		"two headers with encodings": {
			method: "POST", path: publish, body: mark,
			headers: []string{"Content-Encoding", "identity", "Content-Encoding", "br"},
			status:  415, code: models.CodeUnsupportedEncoding, header: map[string]string{"Accept-Encoding": "identity"},
		},

		"data too large once it is JSON": {
			method: "POST", path: publish, body: strings.Repeat("\x01", messageSize/2),
			status: 413, code: models.CodePayloadTooLarge,
		},
		"data too large once it is base64": {
			method: "POST", path: publish, body: strings.Repeat("\xff", messageSize-100),
			status: 413, code: models.CodePayloadTooLarge,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, tt.method, tt.path, tt.body, tt.headers...)
			a.checkProblem(t, tt.status, tt.code)
			for name, want := range tt.header {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if a.header.Get("X-Request-Id") == "" || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
				t.Errorf("the request's id is not in the header and the body: %v %s", a.header, a.body)
			}
		})
	}
	if messages := s.retained(t, ">"); len(messages) != 0 {
		t.Errorf("something was published: %v", messages)
	}
}

func TestProblemsOfTheEngine(t *testing.T) {
	unavailable := models.Errorf(models.CodeEngineUnavailable, "the log is away")
	tests := map[string]struct {
		publish    func() error
		status     int
		code       models.Code
		retryAfter string
		log        string
	}{
		"overloaded": {
			publish: func() error {
				return &models.Error{Code: models.CodeOverloaded, Message: "too much", RetryAfter: 1500 * time.Millisecond}
			},
			status: 503, code: models.CodeOverloaded, retryAfter: "2",
		},
		"engine unavailable":             {publish: func() error { return unavailable }, status: 503, code: models.CodeEngineUnavailable},
		"engine unavailable, in a chain": {publish: func() error { return errors.Join(errors.New(mark), unavailable) }, status: 503, code: models.CodeEngineUnavailable},
		"an error that is not for callers": {
			publish: func() error { return errors.New("disk " + mark) },
			status:  500, code: models.CodeInternal, log: "disk " + mark,
		},
		"a panic": {
			publish: func() error { panic("nil map " + mark) },
			status:  500, code: models.CodeInternal, log: "nil map " + mark,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(s *setup) { s.engine = brokenEngine{Engine: s.engine, publish: tt.publish} })
			for _, request := range [][3]string{{"POST", "/topics/a/publish", "x"}, {"GET", "/topics", ""}, {"GET", "/topics/a", ""}} {
				a := s.do(t, request[0], request[1], request[2])
				a.checkProblem(t, tt.status, tt.code)
				if got := a.header.Get("Retry-After"); got != tt.retryAfter {
					t.Errorf("Retry-After: %q, want %q", got, tt.retryAfter)
				}
				if id := a.header.Get("X-Request-Id"); tt.log != "" && !logsOf(s, id, tt.log) {
					t.Errorf("nothing of %q with the request's id %s in the log:\n%s", tt.log, id, s.log)
				}
			}
			if a := s.get(t, "/livez"); a.status != 200 {
				t.Errorf("the server is gone: %d %s", a.status, a.body)
			}
		})
	}
}

// logsOf tells whether a line of the log at level error has the request's id and the text.
func logsOf(s *server, id, text string) bool {
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, "request_id="+id) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

func TestAfterClose(t *testing.T) {
	s := start(t)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"publish":   s.do(t, "POST", "/topics/a/publish", "x"),
		"readyz":    s.get(t, "/readyz"),
		"handshake": s.do(t, "GET", "/ws", "", handshake()...),
		"events":    s.get(t, "/events?topic=a"),
		"long poll": s.get(t, "/topics/a/messages?wait=60s"),
	} {
		t.Run(name, func(t *testing.T) {
			a.checkProblem(t, 503, models.CodeShuttingDown)
			if got := a.header.Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After: %q", got)
			}
		})
	}
	if a := s.get(t, "/livez"); a.status != 200 {
		t.Errorf("livez: %d", a.status)
	}
}

func TestHealth(t *testing.T) {
	away := models.Errorf(models.CodeEngineUnavailable, "the log is away")
	tests := map[string]struct {
		ready  error
		status int
		code   models.Code
	}{
		"ready":          {status: 200},
		"engine away":    {ready: away, status: 503, code: models.CodeEngineUnavailable},
		"unknown reason": {ready: errors.New(mark), status: 500, code: models.CodeInternal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(s *setup) { s.engine = brokenEngine{Engine: s.engine, ready: tt.ready} })
			if diff := cmp.Diff("{\"status\":\"ok\"}\n", s.get(t, "/livez").body); diff != "" {
				t.Errorf("livez (-want +got):\n%s", diff)
			}
			a := s.get(t, "/readyz")
			if tt.code != "" {
				a.checkProblem(t, tt.status, tt.code)
				return
			}
			if a.status != http.StatusOK || a.body != "{\"status\":\"ok\"}\n" {
				t.Errorf("readyz: %d %s", a.status, a.body)
			}
		})
	}
}
