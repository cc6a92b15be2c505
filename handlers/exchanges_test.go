package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"fanfare/broker"
	"fanfare/models"
)

// exchange is a request, and the status and code of its answer.
type exchange struct {
	method, path, body string
	headers            []string
	status             int
	code               models.Code
}

// with sets what is answered.
func (e exchange) with(status int, code models.Code) exchange {
	e.status, e.code = status, code
	return e
}

// and adds headers.
func (e exchange) and(headers ...string) exchange {
	e.headers = append(headers, e.headers...)
	return e
}

// request is how Go's library has it.
func (e exchange) request(t *testing.T, s *server) *http.Request {
	t.Helper()
	path, query, _ := strings.Cut(e.path, "?")
	request, err := http.NewRequestWithContext(t.Context(), e.method, "http://"+s.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.RawQuery = query
	for i := 0; i < len(e.headers); i += 2 {
		request.Header.Add(e.headers[i], e.headers[i+1])
	}
	return request
}

// raw is how it goes over the wire.
func (e exchange) raw(s *server) string {
	text := e.method + " " + e.path + " HTTP/1.1\r\nHost: " + s.address + "\r\n"
	for i := 0; i < len(e.headers); i += 2 {
		text += e.headers[i] + ": " + e.headers[i+1] + "\r\n"
	}
	return text + "\r\n"
}

// firstClient is before the ids of all clients.
const firstClient = "00000000-0000-0000-0000-000000000000"

// anyClient is the id of no client.
const anyClient = "019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"

// forScopes has a request for each operation that asks who comes, with what is answered if all is well. The
// streams are not among them.
func forScopes(client string) []exchange {
	asJSON := []string{"Content-Type", "application/json"}
	return []exchange{
		{"POST", "/topics/news.eu/publish", `{"text":"hello"}`, asJSON, 200, ""},
		{"POST", "/publish", `{"messages":[{"topic":"news.eu","data":1,"key":"k"},{"topic":"..","data":2}]}`, asJSON, 200, ""},
		{"GET", "/topics/news.eu/messages?since=all&limit=2", "", nil, 200, ""},
		{"GET", "/topics/news.eu/clients?limit=1&after=" + firstClient, "", nil, 200, ""},
		{"GET", "/topics?pattern=news.*&after=a", "", nil, 200, ""},
		{"GET", "/topics/news.eu", "", nil, 200, ""},
		{"GET", "/clients?topic=news.eu&user=ada&after=" + firstClient, "", nil, 200, ""},
		{"GET", "/clients/" + client, "", nil, 200, ""},
		{"DELETE", "/clients/" + client, "", nil, 204, ""},
		{"DELETE", "/clients?user=ada", "", nil, 200, ""},
		{"DELETE", "/topics/news.eu/messages", "", nil, 204, ""},
		{"GET", "/metrics", "", nil, 200, ""},
		{"GET", "/log/level", "", nil, 200, ""},
		{"PUT", "/log/level", `{"level":"debug"}`, asJSON, 200, ""},
		{"GET", "/debug/pprof/goroutine?debug=1", "", nil, 200, ""},
	}
}

// forAll has one for the others.
func forAll() []exchange {
	return []exchange{
		{"GET", "/livez", "", nil, 200, ""},
		{"GET", "/readyz", "", nil, 200, ""},
		{"GET", "/openapi.json", "", nil, 200, ""},
		{"GET", "/asyncapi.json", "", nil, 200, ""},
	}
}

func listening() exchange  { return exchange{"GET", "/events?topic=news.*&topic=a", "", nil, 200, ""} }
func connecting() exchange { return exchange{"GET", "/ws", "", handshake(), 101, ""} }

// exchanges has what is answered by a server with nothing special about it.
func exchanges() []exchange {
	const publish, unencoded, tooLong = "/topics/a/publish", "%zz", messageSize + 1
	const event = minimal + `,"time":"2026-11-23T17:45:01Z","extra":true,"n":1,"data":{"n":1}}`
	asText := []string{"Content-Type", "text/plain"}
	asJSON := []string{"Content-Type", "application/json"}
	gzip := []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}
	bad := func(method, path, body string, headers []string, code models.Code) exchange {
		return exchange{method, path, body, headers, 400, code}
	}
	return []exchange{
		{"POST", publish, "hello", append([]string{"traceparent", traceParent, "tracestate", "a=1"}, asText...), 200, ""},
		{"POST", publish, "\x00\xff", []string{"Content-Type", "application/octet-stream"}, 200, ""},
		{"GET", "/topics/a/messages?last=2", "", nil, 200, ""},
		{"POST", publish, event, []string{"Content-Type", cloudEvent}, 200, ""},
		{"POST", publish, "1", []string{"Content-Type", "text/plain", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, 200, ""},
		bad("POST", publish, "{}", []string{"Content-Type", cloudEvent}, models.CodeInvalidRequest),
		{"POST", publish, "[" + event + "," + event + "]", []string{"Content-Type", cloudEvents}, 200, ""},
		{"POST", "/publish", batchOf(`{"topic":"a","data":1,"traceparent":"` + traceParent + `","event":` + minimal + `}}`), append([]string{"traceparent", traceParent, "tracestate", "a=1"}, asJSON...), 200, ""},
		{"GET", "/topics/a/messages?last=10", "", nil, 200, ""},
		{"GET", "/topics/a/messages?last=10&format=cloudevents", "", nil, 200, ""},
		bad("POST", "/topics/a..b/publish", "1", asJSON, models.CodeInvalidTopic),
		bad("POST", publish, "{", asJSON, models.CodeInvalidJSON),
		bad("POST", publish, "", asJSON, models.CodeInvalidRequest),
		{"POST", publish, "1", append([]string{"Idempotency-Key", "k"}, asJSON...), 200, ""},
		{"POST", publish, "2", append([]string{"Idempotency-Key", "k"}, asJSON...), 409, models.CodeConflict},
		{"POST", publish, strings.Repeat("a", tooLong), asText, 413, models.CodePayloadTooLarge},
		{"POST", publish, "1", gzip, 415, models.CodeUnsupportedEncoding},

		bad("POST", "/publish", "{", asJSON, models.CodeInvalidJSON),
		bad("POST", "/publish", `{"messages":1}`, asJSON, models.CodeInvalidRequest),
		{"POST", "/publish", batchOf("") + strings.Repeat(" ", maxBatchSize), asJSON, 413, models.CodePayloadTooLarge},
		{"POST", "/publish", batchOf(""), gzip, 415, models.CodeUnsupportedEncoding},

		bad("GET", "/topics/a..b/messages", "", nil, models.CodeInvalidTopic),
		bad("GET", "/topics/a/messages?since=b", "", nil, models.CodeInvalidCursor),
		bad("GET", "/topics/a/messages?limit=0", "", nil, models.CodeInvalidRequest),
		bad("DELETE", "/topics/a..b/messages", "", nil, models.CodeInvalidTopic),
		bad("DELETE", "/topics/a/messages?"+unencoded, "", nil, models.CodeInvalidRequest),
		bad("GET", "/topics/a..b/clients", "", nil, models.CodeInvalidTopic),
		bad("GET", "/topics/a/clients?limit=0", "", nil, models.CodeInvalidRequest),
		bad("GET", "/topics?pattern=a..b", "", nil, models.CodeInvalidTopic),
		bad("GET", "/topics?limit=0", "", nil, models.CodeInvalidRequest),
		bad("GET", "/topics/a..b", "", nil, models.CodeInvalidTopic),
		bad("GET", "/topics/a?"+unencoded, "", nil, models.CodeInvalidRequest),
		{"GET", "/topics/none", "", nil, 404, models.CodeNotFound},
		bad("GET", "/clients?topic=a..b", "", nil, models.CodeInvalidTopic),
		bad("GET", "/clients?limit=0", "", nil, models.CodeInvalidRequest),
		{"GET", "/clients/" + anyClient, "", nil, 404, models.CodeNotFound},
		{"DELETE", "/clients/" + anyClient, "", nil, 404, models.CodeNotFound},
		bad("DELETE", "/clients", "", nil, models.CodeInvalidRequest),

		bad("PUT", "/log/level", "{", asJSON, models.CodeInvalidJSON),
		bad("PUT", "/log/level", `{"level":"loud"}`, asJSON, models.CodeInvalidRequest),
		{"PUT", "/log/level", `{"level":"info"}` + strings.Repeat(" ", 8<<10), asJSON, 413, models.CodePayloadTooLarge},
		{"PUT", "/log/level", `{"level":"info"}`, gzip, 415, models.CodeUnsupportedEncoding},
		{"GET", "/debug/pprof/heap", "", nil, 200, ""},
		bad("GET", "/debug/pprof/heap?debug=3", "", nil, models.CodeInvalidRequest),
		{"GET", "/debug/pprof/stairs", "", nil, 404, models.CodeNotFound},

		bad("GET", "/ws?format=none", "", handshake(), models.CodeInvalidRequest),
		bad("GET", "/events?topic=a..b", "", nil, models.CodeInvalidTopic),
		bad("GET", "/events?topic=a&since=b", "", nil, models.CodeInvalidCursor),
		bad("GET", "/events?topic=a&last=0", "", nil, models.CodeInvalidRequest),
		{"GET", "/ws", "", nil, 426, models.CodeUpgradeRequired},
		{"GET", "/ws", "", append(handshake(), "Origin", "http://elsewhere.example"), 403, models.CodeForbidden},

		{"GET", "/openapi.json", "", []string{"If-None-Match", "*"}, 304, ""},
		{"GET", "/asyncapi.json", "", []string{"If-None-Match", "*"}, 304, ""},
		{"GET", "/livez", "", []string{"Origin", "http://elsewhere.example"}, 403, models.CodeForbidden},
		bad("GET", "/livez?"+unencoded, "", nil, models.CodeInvalidRequest),
	}
}

// rigs have servers about which there is something special, and what they answer.
func rigs() map[string]func(*testing.T) (*server, []exchange) {
	// all is answered like that to whoever comes.
	all := func(exchanges []exchange, status int, code models.Code, headers ...string) (all []exchange) {
		for _, e := range exchanges {
			all = append(all, e.with(status, code).and(headers...))
		}
		return all
	}
	guarded := append(forScopes(anyClient), listening())
	publish, poll := guarded[0], exchange{"GET", "/topics/a/messages?wait=60s", "", nil, 0, ""}
	purge := exchange{"DELETE", "/topics/a/messages", "", nil, 0, ""}
	return map[string]func(*testing.T) (*server, []exchange){
		"all is well": func(t *testing.T) (*server, []exchange) {
			s := start(t)
			client := s.dial(t)
			client.subscribe(t, "news.eu")
			return s, append(append(forScopes(client.id), forAll()...), exchanges()...)
		},
		"pages of another origin": func(t *testing.T) (*server, []exchange) {
			return start(t, listing), all(forAll(), 200, "", "Origin", listed)
		},
		"who are you": func(t *testing.T) (*server, []exchange) {
			return start(t, withAuth(t, models.Scopes{})), all(guarded, 401, models.CodeUnauthorized)
		},
		"you may not": func(t *testing.T) (*server, []exchange) {
			return start(t, withAuth(t, models.Scopes{})), all(guarded, 403, models.CodeForbidden, bearer(token("bob", grant{}))...)
		},
		"too often": func(t *testing.T) (*server, []exchange) {
			s := start(t, func(s *setup) { s.handlers.Settings.Requests = slowly(1) })
			s.get(t, "/topics")
			elsewhere := exchange{"GET", "/livez", "", []string{"Origin", "http://elsewhere.example"}, 0, ""}
			limited := append(guarded, append(forAll()[2:], connecting())...)
			return s, append(all(limited, 429, models.CodeRateLimited),
				elsewhere.with(403, models.CodeForbidden), elsewhere.with(429, models.CodeRateLimited))
		},
		"headers too large": func(t *testing.T) (*server, []exchange) {
			every := append(guarded, append(forAll(), connecting())...)
			return start(t), all(every, 431, models.CodeHeadersTooLarge, "X-Long", strings.Repeat("a", 17<<10))
		},
		"too many subscriptions": func(t *testing.T) (*server, []exchange) {
			return start(t, func(s *setup) { s.broker.Subscriptions = 1 }),
				[]exchange{listening().with(409, models.CodeTooManySubscriptions)}
		},
		"too many clients": func(t *testing.T) (*server, []exchange) {
			s := start(t, func(s *setup) { s.broker.Clients = 1 })
			s.dial(t)
			return s, all([]exchange{poll, listening(), connecting()}, 503, models.CodeTooManyClients)
		},
		"shutting down": func(t *testing.T) (*server, []exchange) {
			s := start(t)
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			ready := forAll()[1]
			return s, all([]exchange{publish, poll, purge, ready, listening(), connecting()}, 503, models.CodeShuttingDown)
		},
		"the engine is away": func(t *testing.T) (*server, []exchange) {
			s := start(t, func(s *setup) { s.engine = awayEngine{s.engine} })
			history, topics, topic, ready := guarded[2], guarded[4], guarded[5], forAll()[1]
			return s, all([]exchange{publish, history, topics, topic, purge, ready, listening(), connecting()},
				503, models.CodeEngineUnavailable)
		},
		"a node is away": func(t *testing.T) (*server, []exchange) {
			s, _, engine := startTwo(t)
			engine.Cut()
			return s, all([]exchange{guarded[7], guarded[8]}, 503, models.CodeEngineUnavailable)
		},
		"overloaded": func(t *testing.T) (*server, []exchange) {
			s := start(t, func(s *setup) {
				s.engine = brokenEngine{Engine: s.engine, publish: func() error {
					return &models.Error{Code: models.CodeOverloaded, Message: "too much", RetryAfter: 1}
				}}
			})
			return s, []exchange{publish.with(503, models.CodeOverloaded)}
		},
		"a mistake of ours": func(t *testing.T) (*server, []exchange) {
			s := start(t, func(s *setup) {
				s.engine = brokenEngine{Engine: s.engine, publish: func() error { panic("nil map") }}
			})
			return s, []exchange{publish.with(500, models.CodeInternal)}
		},
	}
}

// awayEngine is out of reach.
type awayEngine struct{ broker.Engine }

func (awayEngine) away() error { return models.Errorf(models.CodeEngineUnavailable, "the log is away") }

func (e awayEngine) Ready(context.Context) error               { return e.away() }
func (e awayEngine) Purge(context.Context, models.Topic) error { return e.away() }
func (e awayEngine) Read(context.Context, broker.Query) (broker.Stretch, error) {
	return broker.Stretch{}, e.away()
}
func (e awayEngine) Topics(context.Context, models.TopicFilter) ([]models.TopicInfo, error) {
	return nil, e.away()
}
func (e awayEngine) Publish(context.Context, models.Draft) (models.Receipt, error) {
	return models.Receipt{}, e.away()
}
