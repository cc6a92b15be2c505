package app_test

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"fanfare/app"
	"fanfare/models"
)

const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan   = "00f067aa0ba902b7"
	callersParent = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// otlp is a collector of spans.
type otlp struct {
	url string

	mu      sync.Mutex
	headers http.Header
	path    string
	spans   []*spans.Span
	service map[string]string
}

func startCollector(t *testing.T) *otlp {
	t.Helper()
	c := &otlp{service: make(map[string]string)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &export)
		}
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headers, c.path = r.Header, r.URL.Path
		for _, resource := range export.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				c.service[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// described gives what is known of each span, and of which message it is.
func (c *otlp) described() (all []string, ofMessage map[string]*spans.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ofMessage = make(map[string]*spans.Span)
	for _, span := range c.spans {
		attributes := make(map[string]string)
		for _, a := range span.GetAttributes() {
			attributes[a.GetKey()] = a.GetValue().GetStringValue()
		}
		ofMessage[attributes["messaging.message.id"]] = span
		all = append(all, strings.Join([]string{
			span.GetName(), span.GetKind().String(), attributes["messaging.system"], attributes["messaging.operation.name"],
			attributes["messaging.operation.type"], attributes["messaging.destination.name"], attributes["error.type"],
		}, " "))
	}
	return all, ofMessage
}

// post publishes by a request with a trace, or without if that is empty, and gives the answer.
func (s *server) post(path, body, trace string, headers ...string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url("http")+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if trace != "" {
		request.Header.Set("traceparent", trace)
		request.Header.Set("tracestate", "vendor=1")
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// TestTracing: each publish is a span, which continues the trace of its caller, and messages have the trace of their span.
func TestTracing(t *testing.T) {
	c := startCollector(t)
	s := startServer(t, func(config *app.Config) {
		config.Tracing.Endpoint, config.Tracing.ServiceName, config.Tracing.Headers = c.url, "shop", []string{"X-Token = secret=1"}
	})
	s.post("/topics/a/publish", "1", callersParent)
	s.post("/topics/a/publish", "2", "")
	s.post("/publish", `{"messages":[{"topic":"a","data":3},{"topic":"a","data":4}]}`, callersParent)
	s.post("/topics/a/publish", `{"specversion":"1.0","id":"1","source":"/s","type":"t","traceparent":"`+callersParent+`"}`, "", "Content-Type", "application/cloudevents+json")
	client, err := dialCoder(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.send(`{"action":"publish","topic":"a","data":6,"ref":1,"traceparent":"` + callersParent + `"}`); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the welcome and the ack
		if _, err := client.receive(); err != nil {
			t.Fatal(err)
		}
	}
	unsampled := strings.TrimSuffix(callersParent, "01") + "00"
	s.post("/topics/a/publish", "7", unsampled)
	s.post("/topics/a/publish", "8", "", "Idempotency-Key", "k")
	s.post("/topics/a/publish", "9", "", "Idempotency-Key", "k")

	var page models.HistoryPage
	s.get("/topics/a/messages", &page)
	s.stop()
	if err := <-s.stopped; err != nil {
		t.Fatal(err)
	}
	all, ofMessage := c.described()
	const good, bad = "publish SPAN_KIND_PRODUCER fanfare publish send a ", "publish SPAN_KIND_PRODUCER fanfare publish send a conflict"
	if diff := cmp.Diff([]string{good, good, good, good, good, good, good, bad}, all); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if len(page.Messages) != 8 {
		t.Fatalf("%d messages", len(page.Messages))
	}
	for i, m := range page.Messages {
		parts := strings.Split(m.TraceParent, "-")
		if i == 6 { // whose publisher does not record his trace
			if parts[1] != callersTrace || parts[2] == callersSpan || parts[3] != "00" || ofMessage[m.ID.String()] != nil {
				t.Errorf("message 7 has %s", m.TraceParent)
			}
			continue
		}
		span := ofMessage[m.ID.String()]
		if span == nil {
			t.Fatalf("message %d has no span", i+1)
		}
		if trace, id := hex.EncodeToString(span.GetTraceId()), hex.EncodeToString(span.GetSpanId()); trace != parts[1] || id != parts[2] || parts[3] != "01" {
			t.Errorf("message %d has %s, its span is %s %s", i+1, m.TraceParent, trace, id)
		}
		continues := i != 1 && i != 7
		if parent := hex.EncodeToString(span.GetParentSpanId()); continues != (parent == callersSpan) || continues != (parts[1] == callersTrace) {
			t.Errorf("message %d has %s, the parent of its span is %q", i+1, m.TraceParent, parent)
		}
		if hasState := i == 0 || i == 2 || i == 3; hasState != (m.TraceState == "vendor=1") {
			t.Errorf("message %d has the state %q", i+1, m.TraceState)
		}
	}
	if c.path != "/v1/traces" || c.headers.Get("X-Token") != "secret=1" || c.service["service.name"] != "shop" {
		t.Errorf("%s, %v, %v", c.path, c.headers, c.service)
	}
}

// TestSampling: of the traces that begin at a server that records none, none is recorded; of others, all that are elsewhere.
func TestSampling(t *testing.T) {
	c := startCollector(t)
	s := startServer(t, func(config *app.Config) { config.Tracing.Endpoint, config.Tracing.SampleRatio = c.url+"/spans", 0 })
	s.post("/topics/a/publish", "1", "")
	s.post("/topics/b/publish", "1", callersParent)
	s.stop()
	if err := <-s.stopped; err != nil {
		t.Fatal(err)
	}
	if all, _ := c.described(); len(all) != 1 || !strings.Contains(all[0], " b ") || c.path != "/spans" {
		t.Errorf("spans %v, at %s", all, c.path)
	}
}

// TestCollectorAway: without its collector a server publishes, ends in time, and says so once.
func TestCollectorAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes a connection, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, address := range map[string]string{"closed": closed.Addr().String(), "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(config *app.Config) {
				config.Tracing.Endpoint, config.Server.ShutdownTimeout = "http://"+address, time.Hour
			})
			for range 3000 { // more than may wait
				s.post("/topics/a/publish", "1", "")
			}
			s.stop()
			if err := <-s.stopped; err != nil {
				t.Error(err)
			}
			if lines := s.log.having("traces_"); len(lines) == 0 || len(lines) > 2 {
				t.Errorf("logged %q", lines)
			}
		})
	}
}
