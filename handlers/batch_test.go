package handlers_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// maxBatchSize is what a batch may have, in bytes.
const maxBatchSize = 8 << 20

// batchResult is what a client of the API sees.
type batchResult struct {
	ID        string      `json:"id"`
	Topic     string      `json:"topic"`
	Duplicate bool        `json:"duplicate"`
	Code      models.Code `json:"code"`
	Status    int         `json:"status"`
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Detail    string      `json:"detail"`
}

// publishBatch publishes and gives the results.
func (s *server) publishBatch(t *testing.T, body string) []batchResult {
	t.Helper()
	a := s.do(t, "POST", "/publish", body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || strings.Contains(a.body, mark) {
		t.Fatalf("%d %v %.1000s", a.status, a.header, a.body)
	}
	var answer struct {
		Results []batchResult `json:"results"`
	}
	unmarshal(t, a.body, &answer)
	return answer.Results
}

// batchOf makes a batch of messages.
func batchOf(messages ...string) string { return `{"messages":[` + strings.Join(messages, ",") + `]}` }

func TestBatch(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	c.subscribe(t, ">")
	results := s.publishBatch(t, ` { "messages" : [
		{"topic":"a","data":{"n": 1}},
		{"topic":"ü/b","data":null},
		{"data":"three","topic":"a","key":""}
	] }`)
	if len(results) != 3 {
		t.Fatalf("%+v", results)
	}
	for i, want := range []string{
		`{"type":"message","id":"ID","topic":"a","data":{"n":1},"time":"TIME"}`,
		`{"type":"message","id":"ID","topic":"ü/b","data":null,"time":"TIME"}`,
		`{"type":"message","id":"ID","topic":"a","data":"three","time":"TIME"}`,
	} {
		got := c.next(t)
		if diff := cmp.Diff(want, settle(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r := results[i]; r.Code != "" || !strings.Contains(got, `"id":"`+r.ID+`"`) || r.ID == "" {
			t.Errorf("%+v of %s", r, got)
		}
	}
	if diff := cmp.Diff("{\"results\":[]}\n", s.do(t, "POST", "/publish", batchOf()).body); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	body := s.do(t, "POST", "/publish", batchOf(`{"topic":"a","data":1}`, `{"topic":"","data":1}`)).body
	want := `{"results":[{"id":"ID","topic":"a","time":"TIME","duplicate":false,"subscribers":1},` +
		`{"type":"about:blank","title":"Bad Request","status":400,"detail":"`
	if got := settle(body); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `","code":"invalid_topic"}]}`+"\n") {
		t.Errorf("%s", got)
	}
}

// What is wrong with one message is its own problem.
func TestBatchProblemsOfOneMessage(t *testing.T) {
	s := start(t)
	for name, tt := range map[string]struct {
		message string
		code    models.Code
		status  int
	}{
		"no topic":             {`{"data":1}`, models.CodeInvalidTopic, 400},
		"a pattern":            {`{"topic":"` + mark + `.*","data":1}`, models.CodeInvalidTopic, 400},
		"reserved topic":       {`{"topic":"$` + mark + `","data":1}`, models.CodeInvalidTopic, 400},
		"topic is no text":     {`{"topic":1,"data":1}`, models.CodeInvalidRequest, 400},
		"no data":              {`{"topic":"a"}`, models.CodeInvalidRequest, 400},
		"message for data":     {`{"topic":"a","message":1}`, models.CodeInvalidRequest, 400},
		"unknown field":        {`{"topic":"a","data":1,"` + strings.Repeat(mark, 10) + `":1}`, models.CodeInvalidRequest, 400},
		"field in capitals":    {`{"Topic":"a","data":1}`, models.CodeInvalidRequest, 400},
		"key is no text":       {`{"topic":"a","data":1,"key":1}`, models.CodeInvalidRequest, 400},
		"key too long":         {`{"topic":"a","data":1,"key":"` + strings.Repeat("k", 256) + `"}`, models.CodeInvalidRequest, 400},
		"no object":            {`"` + mark + `"`, models.CodeInvalidRequest, 400},
		"null":                 {`null`, models.CodeInvalidTopic, 400},
		"list":                 {`[{"topic":"a","data":1}]`, models.CodeInvalidRequest, 400},
		"data too large":       {`{"topic":"a","data":"` + strings.Repeat("x", messageSize) + `"}`, models.CodePayloadTooLarge, 413},
		"data a bit too large": {`{"topic":"a","data":"` + strings.Repeat("x", messageSize-1) + `"}`, models.CodePayloadTooLarge, 413},
	} {
		t.Run(name, func(t *testing.T) {
			const good = `{"topic":"good","data":1}`
			results := s.publishBatch(t, batchOf(good, tt.message, good))
			if len(results) != 3 || results[0].ID == "" || results[2].ID == "" {
				t.Fatalf("%+v", results)
			}
			got := results[1]
			if got.Code != tt.code || got.Status != tt.status || got.Title != http.StatusText(tt.status) || got.Type != "about:blank" || got.Detail == "" {
				t.Errorf("%+v", got)
			}
		})
	}
	if messages := s.retained(t, "a"); len(messages) != 0 {
		t.Errorf("something was published: %v", messages)
	}
}

func TestBatchProblems(t *testing.T) {
	s := start(t)
	const message = `{"topic":"a","data":1}`
	many := strings.Split(strings.Repeat(message+" ", 1001), " ")[:1001]
	for name, tt := range map[string]struct {
		body    string
		headers []string
		status  int
		code    models.Code
	}{
		"empty body":            {"", nil, 400, models.CodeInvalidJSON},
		"no JSON":               {mark, nil, 400, models.CodeInvalidJSON},
		"cut off":               {`{"messages":[` + message, nil, 400, models.CodeInvalidJSON},
		"two objects":           {batchOf(message) + batchOf(message), nil, 400, models.CodeInvalidJSON},
		"name twice":            {`{"messages":[],"messages":[]}`, nil, 400, models.CodeInvalidJSON},
		"name twice in one":     {batchOf(`{"topic":"a","topic":"a","data":1}`), nil, 400, models.CodeInvalidJSON},
		"name twice in data":    {batchOf(`{"topic":"a","data":{"b":1,"b":2}}`), nil, 400, models.CodeInvalidJSON},
		"invalid UTF-8":         {batchOf(message, "{\"topic\":\"a\",\"data\":\"\xff\"}"), nil, 400, models.CodeInvalidJSON},
		"nested too deep":       {batchOf(message, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), nil, 400, models.CodeInvalidJSON},
		"list":                  {"[" + message + "]", nil, 400, models.CodeInvalidRequest},
		"null":                  {"null", nil, 400, models.CodeInvalidRequest},
		"one message":           {message, nil, 400, models.CodeInvalidRequest},
		"no messages":           {"{}", nil, 400, models.CodeInvalidRequest},
		"messages are null":     {`{"messages":null}`, nil, 400, models.CodeInvalidRequest},
		"messages are no list":  {`{"messages":{}}`, nil, 400, models.CodeInvalidRequest},
		"another field":         {`{"messages":[],"topic":"a"}`, nil, 400, models.CodeInvalidRequest},
		"1,001 messages":        {batchOf(many...), nil, 400, models.CodeInvalidRequest},
		"a million of numbers":  {batchOf(strings.TrimSuffix(strings.Repeat("1,", 1<<20), ",")), nil, 400, models.CodeInvalidRequest},
		"compressed":            {mark, []string{"Content-Encoding", "gzip"}, 415, models.CodeUnsupportedEncoding},
		"larger than it may be": {batchOf(message) + strings.Repeat(" ", maxBatchSize), nil, 413, models.CodePayloadTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(t, "POST", "/publish", tt.body, tt.headers...).checkProblem(t, tt.status, tt.code)
		})
	}
	s.get(t, "/publish").checkProblem(t, 405, models.CodeMethodNotAllowed)
	if messages := s.retained(t, ">"); len(messages) != 0 {
		t.Errorf("something was published: %v", messages)
	}
	if results := s.publishBatch(t, batchOf(many[:1000]...)); len(results) != 1000 || results[999].ID == "" {
		t.Errorf("of 1,000 messages: %d results", len(results))
	}
}

// The batch may be large, and no other body.
func TestLargestBatch(t *testing.T) {
	s := start(t)
	item := `{"topic":"a","data":"` + strings.Repeat("x", messageSize-2) + `"}`
	items := strings.Split(strings.Repeat(item+" ", 100), " ")[:100]
	body := batchOf(items...)
	for _, path := range []string{"/publish", "/publish?x=y"} {
		a := s.do(t, "POST", path, body+strings.Repeat(" ", maxBatchSize-len(body)))
		if a.status != 200 || strings.Count(a.body, `"id"`) != 100 {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	absolute := s.dialRaw(t)
	absolute.send(t, "POST http://localhost/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	if a := absolute.answer(t, "POST"); a.status != 200 {
		t.Errorf("with the server's name: %d %.100s", a.status, a.body)
	}
	for _, path := range []string{"/topics/publish/publish", "/topics/a/publish"} {
		s.do(t, "POST", path, body).checkProblem(t, 413, models.CodePayloadTooLarge)
	}
	// What no route wants is read to its end and thrown away.
	for _, path := range []string{"/publish/", "/publishx"} {
		s.do(t, "POST", path, body).checkProblem(t, 404, models.CodeNotFound)
	}
	s.do(t, "PUT", "/publish", body).checkProblem(t, 405, models.CodeMethodNotAllowed)
}

// When the server can take no more, it does not try what is left.
func TestBatchEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		code   models.Code
		status int
		// goesOn tells that the next message is tried.
		goesOn bool
	}{
		"overloaded":         {err: &models.Error{Code: models.CodeOverloaded, Message: "too much", RetryAfter: time.Second}, code: models.CodeOverloaded, status: 503},
		"engine unavailable": {err: models.Errorf(models.CodeEngineUnavailable, "the log is away"), code: models.CodeEngineUnavailable, status: 503},
		"shutting down":      {err: models.ErrShuttingDown(), code: models.CodeShuttingDown, status: 503},
		"internal":           {err: errors.New("disk " + mark), code: models.CodeInternal, status: 500},
		"conflict":           {err: models.Errorf(models.CodeConflict, "the key was used"), code: models.CodeConflict, status: 409, goesOn: true},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			s := start(t, func(s *setup) {
				s.engine = brokenEngine{Engine: s.engine, publish: func() error { tries++; return tt.err }}
			})
			const message = `{"topic":"a","data":1}`
			results := s.publishBatch(t, batchOf(`{}`, message, message, `{}`))
			want := []models.Code{models.CodeInvalidTopic, tt.code, tt.code, tt.code}
			wantTries := 1
			if tt.goesOn {
				want[3], wantTries = models.CodeInvalidTopic, 2
			}
			var got []models.Code
			for _, r := range results {
				got = append(got, r.Code)
			}
			if diff := cmp.Diff(want, got); diff != "" || tries != wantTries || results[1].Status != tt.status {
				t.Errorf("%d tries, %+v (-want +got):\n%s", tries, results, diff)
			}
			if logged := strings.Count(s.log.String(), "disk "+mark); tt.code == models.CodeInternal && logged != 1 {
				t.Errorf("logged %d times:\n%s", logged, s.log)
			}
		})
	}
}

// A key stands for one message, whichever way it comes.
func TestIdempotency(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	type result struct {
		ID        string
		Duplicate bool
		Code      models.Code
	}
	ways := map[string]func(topic, data, key string) result{
		"POST": func(topic, data, key string) result {
			a := s.do(t, "POST", "/topics/"+topic+"/publish", data, "Idempotency-Key", key)
			var r batchResult
			unmarshal(t, a.body, &r)
			if r.Code == models.CodeConflict {
				a.checkProblem(t, http.StatusConflict, models.CodeConflict)
			}
			return result{r.ID, r.Duplicate, r.Code}
		},
		"batch": func(topic, data, key string) result {
			r := s.publishBatch(t, batchOf(`{"topic":"`+topic+`","data":`+data+`,"key":"`+key+`"}`))[0]
			return result{r.ID, r.Duplicate, r.Code}
		},
		"WebSocket": func(topic, data, key string) result {
			var r struct {
				ID        string      `json:"id"`
				Duplicate bool        `json:"duplicate"`
				Code      models.Code `json:"code"`
			}
			unmarshal(t, c.ask(t, `{"action":"publish","topic":"`+topic+`","data":`+data+`,"key":"`+key+`","ref":1}`), &r)
			return result{r.ID, r.Duplicate, r.Code}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			topic := "a." + name
			first := way(topic, `{"n": 1}`, "k")
			if first.ID == "" || first.Duplicate {
				t.Fatalf("%+v", first)
			}
			want := result{ID: first.ID, Duplicate: true}
			for again, repeat := range ways {
				if got := repeat(topic, `{"n":1}`, "k"); got != want {
					t.Errorf("again by %s: %+v, want %+v", again, got, want)
				}
				if got := repeat(topic, `{"n":2}`, "k"); got != (result{Code: models.CodeConflict}) {
					t.Errorf("another message by %s: %+v", again, got)
				}
			}
			for what, other := range map[string]result{
				"another key":   way(topic, `{"n":1}`, "k2"),
				"another topic": way(topic+".b", `{"n":1}`, "k"),
				"no key":        way(topic, `{"n":1}`, ""),
				"no key again":  way(topic, `{"n":1}`, ""),
			} {
				if other.ID == "" || other.ID == first.ID || other.Duplicate {
					t.Errorf("%s: %+v", what, other)
				}
			}
			if messages := s.retained(t, models.Pattern(topic)); len(messages) != 4 {
				t.Errorf("%d messages are in the log, want 4", len(messages))
			}
		})
	}
	longest := strings.Repeat("ü", 127) + "k"
	if a := s.do(t, "POST", "/topics/a/publish", "x", "Idempotency-Key", longest); a.status != 200 {
		t.Errorf("the longest key: %d %s", a.status, a.body)
	}
	for name, key := range map[string]string{"too long": longest + "k", "invalid UTF-8": mark + "\xff"} {
		t.Run(name, func(t *testing.T) {
			s.do(t, "POST", "/topics/a/publish", "x", "Idempotency-Key", key).checkProblem(t, 400, models.CodeInvalidRequest)
		})
	}
	if got := c.ask(t, fmt.Sprintf(`{"action":"publish","topic":"a","data":1,"key":%q}`, longest+"k")); !strings.Contains(got, `"invalid_request"`) {
		t.Error(got)
	}
}
