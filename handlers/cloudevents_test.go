package handlers_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

const (
	cloudEvent  = "application/cloudevents+json"
	cloudEvents = "application/cloudevents-batch+json"
	minimal     = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// attributesOf is what a message in the log has beside its data.
func attributesOf(t *testing.T, m *models.Message) string {
	t.Helper()
	if m.Attributes == nil {
		return ""
	}
	text, err := json.Marshal(m.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPublishEvents: an event comes into the log as it was, in every mode.
func TestPublishEvents(t *testing.T) {
	s := start(t)
	binary := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}
	with := func(more ...string) []string { return append(more, binary...) }
	tests := map[string]struct {
		headers                    []string
		body                       string
		attributes, data, encoding string
	}{
		"structured": {[]string{"Content-Type", cloudEvent + "; charset=utf-8"}, minimal + `,"n":1,"data":{"a": 1}}`, `{"event":` + minimal + `,"n":1}}`, `{"a":1}`, ""},
		"structured bytes": {
			[]string{"Content-Type", cloudEvent}, minimal + `,"data_base64":"/w=="}`, `{"event":` + minimal + `}}`, `"/w=="`, models.EncodingBase64,
		},
		"structured with a trace": {
			[]string{"Content-Type", cloudEvent, "traceparent", traceParent, "tracestate", "a=1", "tracestate", "b=2"}, minimal + `}`,
			`{"traceparent":"` + traceParent + `","tracestate":"a=1,b=2","event":` + minimal + `}}`, `null`, "",
		},
		"in capitals": {[]string{"Content-Type", "Application/CloudEvents+JSON"}, minimal + `}`, `{"event":` + minimal + `}}`, `null`, ""},
		"binary": {
			with("Content-Type", "application/json", "Ce-Subject", `"a%20\"%C3%BC"`, "ce-n", "1"), `{"a": 1}`,
			`{"event":` + minimal + `,"datacontenttype":"application/json","n":"1","subject":"a \"ü"}}`, `{"a":1}`, "",
		},
		"binary text":         {with("Content-Type", "text/plain"), `1`, `{"event":` + minimal + `,"datacontenttype":"text/plain"}}`, `"1"`, ""},
		"binary bytes":        {with("Content-Type", "image/png"), `1`, `{"event":` + minimal + `,"datacontenttype":"image/png"}}`, `"MQ=="`, models.EncodingBase64},
		"binary without data": {binary, ``, `{"event":` + minimal + `}}`, `null`, ""},
		"no event, a trace":   {[]string{"traceparent", traceParent}, `1`, `{"traceparent":"` + traceParent + `"}`, `1`, ""},
		"no event, no trace":  {[]string{"traceparent", "00", "tracestate", "a=1"}, `1`, ``, `1`, ""},
		"none":                {[]string{"ce-id", "1"}, `1`, ``, `1`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s.publish(t, "a", tt.body, tt.headers...)
			messages := s.retained(t, "a")
			m := messages[len(messages)-1]
			if diff := cmp.Diff([]string{tt.attributes, tt.data, tt.encoding}, []string{attributesOf(t, m), string(m.Data), m.Encoding}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPublishEventsRefuses(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.MessageSize, s.broker.MessageSize = 100, 100 })
	binary := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}
	with := func(more ...string) []string { return append(more, binary...) }
	tests := map[string]struct {
		headers []string
		body    string
		status  int
		code    models.Code
	}{
		"no JSON":             {[]string{"Content-Type", cloudEvent}, `{`, http.StatusBadRequest, models.CodeInvalidJSON},
		"nothing":             {[]string{"Content-Type", cloudEvent}, ``, http.StatusBadRequest, models.CodeInvalidJSON},
		"no event":            {[]string{"Content-Type", cloudEvent}, `{"id":"1"}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"XML":                 {[]string{"Content-Type", "application/cloudevents+xml"}, `<a/>`, http.StatusUnsupportedMediaType, models.CodeUnsupportedEncoding},
		"large data":          {[]string{"Content-Type", cloudEvent}, minimal + `,"data":"` + strings.Repeat("x", 100) + `"}`, http.StatusRequestEntityTooLarge, models.CodePayloadTooLarge},
		"a large body":        {[]string{"Content-Type", cloudEvent}, minimal + strings.Repeat(" ", 100+models.MaxEventSize) + `}`, http.StatusRequestEntityTooLarge, models.CodePayloadTooLarge},
		"no id":               {[]string{"ce-specversion", "1.0", "ce-source", "/s", "ce-type", "t"}, `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"no version":          {[]string{"ce-id", "1", "ce-source", "/s", "ce-type", "t"}, `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"an empty version":    {[]string{"ce-specversion", "", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"another version":     {[]string{"ce-specversion", "0.3", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}, `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"declared twice":      {with("ce-datacontenttype", "text/plain"), `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a header twice":      {with("ce-id", "2"), `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a name":              {with("ce-a-b", "2"), `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a header for data":   {with("ce-data", "2"), `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"invalid UTF-8":       {with("ce-x", "%ff"), `1`, http.StatusBadRequest, models.CodeInvalidRequest},
		"JSON that is none":   {with("Content-Type", "application/json"), `{`, http.StatusBadRequest, models.CodeInvalidJSON},
		"a batch of none":     {[]string{"Content-Type", cloudEvents}, `{`, http.StatusBadRequest, models.CodeInvalidJSON},
		"a batch that is one": {[]string{"Content-Type", cloudEvents}, minimal + `}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a batch with a key":  {[]string{"Content-Type", cloudEvents, "Idempotency-Key", "k"}, `[]`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a batch too large":   {[]string{"Content-Type", cloudEvents}, `[` + strings.Repeat("1,", 1000) + `1]`, http.StatusBadRequest, models.CodeInvalidRequest},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s.do(t, "POST", "/topics/a/publish", tt.body, tt.headers...).checkProblem(t, tt.status, tt.code)
		})
	}
	if messages := s.retained(t, ">"); len(messages) > 0 {
		t.Errorf("%d messages were published", len(messages))
	}
}

// TestPublishBatchOfEvents: each event is a message by itself, in order.
func TestPublishBatchOfEvents(t *testing.T) {
	s := start(t)
	a := s.do(t, "POST", "/topics/a/publish", `[`+minimal+`,"data":1},{},`+minimal+`,"data":2},3]`, "Content-Type", cloudEvents, "traceparent", traceParent)
	var answer struct {
		Results []batchResult `json:"results"`
	}
	unmarshal(t, a.body, &answer)
	var got []string
	for _, r := range answer.Results {
		got = append(got, r.Topic+string(r.Code))
	}
	if diff := cmp.Diff([]string{"a", "invalid_request", "a", "invalid_request"}, got); a.status != http.StatusOK || diff != "" {
		t.Errorf("%d (-want +got):\n%s", a.status, diff)
	}
	got = nil
	for _, m := range s.retained(t, "a") {
		got = append(got, string(m.Data)+attributesOf(t, m))
	}
	want := `{"traceparent":"` + traceParent + `","event":` + minimal + `}}`
	if diff := cmp.Diff([]string{"1" + want, "2" + want}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAttributesBesideData: over /ws and in a batch, attributes are fields of the message.
func TestAttributesBesideData(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	const fields = `"traceparent":"` + traceParent + `","tracestate":"a=1","event":` + minimal + `,"datacontenttype":"text/plain"}`
	want := fields + `}`
	for name, frame := range map[string]string{
		"event of no type":  `"data":1,"event":1`,
		"no event":          `"data":1,"event":{}`,
		"event with data":   `"data":1,"event":` + minimal + `,"data":1}`,
		"trace of no type":  `"data":1,"traceparent":1`,
		"event of no data":  `"event":` + minimal + `}`,
		"large event":       `"data":1,"event":` + minimal + `,"x":"` + strings.Repeat("x", models.MaxEventSize) + `"}`,
		"event of none":     `"data":1,"event":null`,
		"event with base64": `"data":1,"event":` + minimal + `,"data_base64":""}`,
	} {
		if answer := c.ask(t, `{"action":"publish","topic":"a","ref":1,`+frame+`}`); !strings.Contains(answer, `"code":"invalid_request"`) {
			t.Errorf("%s: %s", name, answer)
		}
	}
	for _, frame := range []string{`{"action":"ping","ref":1,"event":{}}`, `{"action":"ping","ref":1,"tracestate":"a=1"}`} {
		if answer := c.ask(t, frame); !strings.Contains(answer, "is for publish") {
			t.Errorf("%s: %s", frame, answer)
		}
	}
	c.ask(t, `{"action":"publish","topic":"a","data":"\u00fc","ref":1,`+fields+`}`)
	s.publishBatch(t, batchOf(`{"topic":"a","data":"\u00fc",`+fields+`}`))
	c.ask(t, `{"action":"publish","topic":"b","data":1,"ref":1,"traceparent":"none","tracestate":"a=1"}`)
	messages := s.retained(t, ">")
	if len(messages) != 3 {
		t.Fatalf("%d messages", len(messages))
	}
	for _, m := range messages[:2] {
		if got := attributesOf(t, m); string(m.Data) != `"ü"` || got != "{"+want {
			t.Errorf("%s %s, want %s", m.Data, got, want)
		}
	}
	if messages[2].Attributes != nil {
		t.Errorf("a trace that is none has become %v", attributesOf(t, messages[2]))
	}
	c = s.dial(t)
	c.send(t, `{"action":"subscribe","topic":"a","last":1}`)
	c.next(t)
	if got := settle(c.next(t)); !strings.HasSuffix(got, `,"time":"TIME",`+want) {
		t.Errorf("received %s", got)
	}
}

// TestBatchContinuesTheTrace of its request, where a message has none of its own.
func TestBatchContinuesTheTrace(t *testing.T) {
	s := start(t)
	other := strings.Replace(traceParent, "4bf9", "5bf9", 1)
	s.do(t, "POST", "/publish", batchOf(`{"topic":"a","data":1}`, `{"topic":"a","data":1,"traceparent":"`+other+`"}`), "traceparent", traceParent)
	messages := s.retained(t, "a")
	for i, want := range []string{traceParent, other} {
		if got := messages[i].TraceParent; got != want {
			t.Errorf("message %d has %s, want %s", i, got, want)
		}
	}
}

func TestFormatParameter(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/events?topic=a&format=x", "/topics/a/messages?format=CloudEvents"} {
		s.get(t, path).checkProblem(t, http.StatusBadRequest, models.CodeInvalidRequest)
	}
	s.do(t, "GET", "/ws?format=x", "", handshake()...).checkProblem(t, http.StatusBadRequest, models.CodeInvalidRequest)
}

// receivers are all ways to get what is published to a topic as CloudEvents.
func (s *server) receivers(t *testing.T, topic string) map[string]func() string {
	t.Helper()
	query := "topic=" + topic + "&format=cloudevents"
	sse, lines := s.listen(t, query), s.listen(t, query, "Accept", "application/x-ndjson")
	sse.next()
	if _, ok := lines.line(); !ok {
		t.Fatal("the stream has ended")
	}
	ws := s.upgrade(t, "?format=cloudevents")
	ws.next(t)
	ws.subscribe(t, topic)
	next := "all"
	return map[string]func() string{
		"SSE": func() string { return sse.next().data },
		"NDJSON": func() string {
			line, _ := lines.line()
			return line
		},
		"WebSocket": func() string { return ws.next(t) },
		"poll": func() string {
			var page struct {
				Messages []jsontext.Value `json:"messages"`
				Next     string           `json:"next"`
			}
			s.getInto(t, "/topics/"+topic+"/messages?format=cloudevents&wait=60&limit=1&since="+next, &page)
			next = page.Next
			return string(page.Messages[0])
		},
	}
}

// TestEventsComeBack: whatever an SDK publishes, in whatever mode, it reads as the same event, however it is received.
func TestEventsComeBack(t *testing.T) {
	s := start(t)
	protocol, err := cloudevents.NewHTTP(cloudevents.WithTarget("http://" + s.address + "/topics/a/publish"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := cloudevents.NewClient(protocol)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()                    //nolint:gosec // no secret
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret
	receivers := s.receivers(t, "a")
	for n := range 300 {
		isBinary := random.IntN(2) == 0
		sent := randomEvent(random, isBinary)
		if err := sent.Validate(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		ctx := binding.WithForceStructured(t.Context())
		if isBinary {
			ctx = binding.WithForceBinary(t.Context())
		}
		if result := client.Send(ctx, sent); !cloudevents.IsACK(result) {
			t.Fatalf("seed %d, event %d: %v\n%s", seed, n, result, sent)
		}
		for name, receive := range receivers {
			var got cloudevents.Event
			text := receive()
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatalf("seed %d, event %d, by %s: %v in %s", seed, n, name, err, text)
			}
			if err := got.Validate(); err != nil {
				t.Errorf("seed %d, by %s: %v", seed, name, err)
			}
			if diff := cmp.Diff(describe(sent, isBinary), describe(got, isBinary)); diff != "" {
				t.Fatalf("seed %d, event %d, by %s (-want +got):\n%s\n%s", seed, n, name, diff, text)
			}
			if got.Extensions()["fanfaretopic"] != "a" || got.Extensions()["fanfareid"] == nil {
				t.Errorf("by %s: %v", name, got.Extensions())
			}
		}
	}
}

// describe is what an event consists of. In binary mode extensions have no types (HTTP binding, section 3.1.3).
func describe(e cloudevents.Event, isBinary bool) map[string]string {
	parts := map[string]string{
		"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(), "schema": e.DataSchema(),
		"content type": e.DataContentType(), "data": string(e.Data()),
		"time": e.Time().UTC().Format(time.RFC3339Nano),
	}
	if data := jsontext.Value(bytes.Clone(e.Data())); e.DataContentType() == cloudevents.ApplicationJSON && data.Canonicalize() == nil {
		parts["data"] = string(data) // JSON is the same, whatever its escapes
	}
	for name, value := range e.Extensions() {
		if strings.HasPrefix(name, "fanfare") {
			continue
		}
		parts["extension "+name] = fmt.Sprintf("%v", value)
		if !isBinary {
			parts["type of "+name] = fmt.Sprintf("%T", value)
		}
	}
	return parts
}

// randomEvent makes an event with some of everything. The SDK does not percent-encode what it puts into headers, as the
// HTTP binding wants it, so for these there is no %.
func randomEvent(random *rand.Rand, isBinary bool) cloudevents.Event {
	letters := "abc ABC019 äß€日本😀\"\\'<>&;,=:/?#[]@!$()*+~{}|^`-_."
	if !isBinary {
		letters += "%%%"
	}
	text := func() string {
		runes := []rune(letters)
		made := []rune{'x'}
		for range random.IntN(12) {
			made = append(made, runes[random.IntN(len(runes))])
		}
		return string(append(made, 'y'))
	}
	address := func(text string) string {
		if isBinary {
			return hex.EncodeToString([]byte(text))
		}
		return url.PathEscape(text)
	}
	maybe := func(set func()) {
		if random.IntN(2) == 0 {
			set()
		}
	}
	e := cloudevents.NewEvent()
	e.SetID(text())
	e.SetSource("urn:" + address(text()))
	e.SetType(text())
	maybe(func() { e.SetSubject(text()) })
	maybe(func() { e.SetTime(time.Unix(random.Int64N(4e9), random.Int64N(1e9))) })
	maybe(func() { e.SetDataSchema("https://example.com/" + address(text())) })
	maybe(func() { e.SetExtension("extra", text()) })
	maybe(func() { e.SetExtension("flag", random.IntN(2) == 0) })
	maybe(func() { e.SetExtension("number", int32(random.Uint32())) }) //nolint:gosec // any will do
	maybe(func() { e.SetExtension("traceparent", traceParent) })
	octets := []byte(text())
	maybe(func() { octets = append(octets, 0xff, 0) })
	var err error
	switch random.IntN(5) {
	case 0:
		err = e.SetData(cloudevents.ApplicationJSON, map[string]any{"text": text(), "n": random.IntN(1000), "list": []any{nil, true, 1.5}})
	case 1:
		err = e.SetData(cloudevents.TextPlain, text())
	case 2:
		err = e.SetData("application/octet-stream", octets)
	case 3:
		err = e.SetData("text/html; charset=utf-8", []byte(text()))
	}
	if err != nil {
		panic(err)
	}
	return e
}

// TestMessagesAreEvents: what was published otherwise comes as a valid event of its own.
func TestMessagesAreEvents(t *testing.T) {
	s := start(t)
	receivers := s.receivers(t, "a")
	for body, want := range map[string]string{"hello": `"hello"`, `{"n":1}`: `{"n":1}`, "\xff": "\xff"} {
		id := s.publish(t, "a", body, "traceparent", traceParent)
		for name, receive := range receivers {
			var got cloudevents.Event
			unmarshal(t, receive(), &got)
			if err := got.Validate(); err != nil {
				t.Errorf("by %s: %v", name, err)
			}
			if got.ID() != id || got.Source() != "/topics/a" || got.Type() != "fanfare.message" || got.Time().IsZero() ||
				got.Extensions()["traceparent"] != traceParent || got.Extensions()["fanfareid"] != id || string(got.Data()) != want {
				t.Errorf("by %s: %s", name, got)
			}
		}
	}
}
