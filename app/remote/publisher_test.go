package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// ledger is a server without a network, which publishes once for each key.
type ledger struct {
	t *testing.T
	// failures are what becomes of the next requests, in place of an answer.
	failures []failure
	// room is how many messages it takes in each request, 0 for all.
	room int

	keys     map[string]bool
	messages []string // in order
	requests []int    // how many messages were in each
	took     []time.Time
}

// failure is what a request is answered with. The messages are published before, if it is late.
type failure struct {
	status     int // 0 breaks the connection
	retryAfter string
	late       bool
}

func (l *ledger) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	l.took = append(l.took, time.Now())
	recorder := httptest.NewRecorder()
	var fails *failure
	if len(l.failures) > 0 {
		fails, l.failures = &l.failures[0], l.failures[1:]
	}
	if fails == nil || fails.late {
		l.answer(recorder, r, body)
	}
	if fails == nil {
		response := recorder.Result()
		response.Request = r
		return response, nil
	}
	if fails.status == 0 {
		return nil, syscall.ECONNRESET
	}
	recorder = httptest.NewRecorder()
	recorder.Header().Set("Content-Type", "application/problem+json")
	recorder.Header().Set("Retry-After", fails.retryAfter)
	recorder.WriteHeader(fails.status)
	_, _ = fmt.Fprintf(recorder, `{"code":"overloaded","detail":"%d"}`, fails.status)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func (l *ledger) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	if topic, isOne := strings.CutPrefix(r.URL.Path, "/topics/"); isOne {
		l.requests = append(l.requests, 1)
		text := string(body)
		if r.Header.Get("Content-Type") == "application/octet-stream" {
			text = fmt.Sprintf("%x", body)
		}
		_, _ = io.WriteString(w, l.publish(strings.TrimSuffix(topic, "/publish"), text, r.Header.Get("Idempotency-Key")))
		return
	}
	var batch struct {
		Messages []batchMessage `json:"messages"`
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		l.t.Errorf("%s: %v", body, err)
	}
	if len(body) > 1<<20 || len(batch.Messages) > 1000 {
		l.t.Errorf("a batch of %d messages and %d bytes", len(batch.Messages), len(body))
	}
	l.requests = append(l.requests, len(batch.Messages))
	var results []string
	for i, m := range batch.Messages {
		switch {
		case l.room > 0 && i >= l.room:
			results = append(results, `{"status":429,"code":"rate_limited","detail":"slowly"}`)
		case string(m.Data) == `"wrong"`:
			results = append(results, `{"status":413,"code":"payload_too_large","detail":"too large"}`)
		default:
			results = append(results, l.publish(string(m.Topic), string(m.Data), m.Key))
		}
	}
	_, _ = io.WriteString(w, `{"results":[`+strings.Join(results, ",")+`]}`)
}

func (l *ledger) publish(topic, text, key string) string {
	duplicate := l.keys[key]
	if !duplicate {
		l.messages = append(l.messages, topic+" "+text)
		l.keys[key] = true
	}
	return fmt.Sprintf(`{"id":%q,"duplicate":%t}`, key, duplicate)
}

// publishAll publishes texts to a ledger, and gives what became of each, and the error at the end.
func (l *ledger) publishAll(texts ...string) (results []string, troubles int, err error) {
	l.keys = make(map[string]bool)
	server := anonymous(l.t, "http://localhost")
	server.Client = NewClient(l)
	var messages []Message
	for i, text := range texts {
		messages = append(messages, NewMessage("t", fmt.Sprint(i), []byte(text), false))
	}
	p := &Publisher{Server: server, Retry: Retry{Timeout: 30 * time.Second, Trouble: func(error, time.Duration) { troubles++ }}}
	err = p.Publish(l.t.Context(), messages, func(receipt jsontext.Value, refused *Refusal) (err error) {
		var r struct {
			ID string `json:"id"`
		}
		if refused != nil {
			r.ID = string(refused.Code)
		} else {
			err = json.Unmarshal(receipt, &r)
		}
		results = append(results, r.ID)
		return err
	})
	return results, troubles, err
}

// TestPublishesOnce: whatever goes wrong on the way, each message is in the log once and in order, and answered in
// that order.
func TestPublishesOnce(t *testing.T) {
	tests := map[string]struct {
		failures []failure
		room     int
		troubles int
		most     time.Duration // it takes no longer
		least    time.Duration
	}{
		"nothing goes wrong":                   {},
		"a connection breaks before":           {failures: []failure{{}}, troubles: 1, most: time.Second},
		"a connection breaks after":            {failures: []failure{{late: true}}, troubles: 1, most: time.Second},
		"it breaks, again and again":           {failures: []failure{{}, {late: true}, {}, {late: true}, {}, {}, {}}, troubles: 7, most: 10 * time.Second},
		"overloaded":                           {failures: []failure{{status: 503}}, troubles: 1, most: time.Second},
		"a gateway that has lost its server":   {failures: []failure{{status: 502, late: true}, {status: 504}}, troubles: 2, most: time.Second},
		"rate limited, for as long as it says": {failures: []failure{{status: 429, retryAfter: "7"}}, troubles: 1, least: 7 * time.Second, most: 7 * time.Second},
		"the rest of each batch is limited":    {room: 2, troubles: 1, least: time.Second, most: time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				l := &ledger{t: t, failures: tt.failures, room: tt.room}
				results, troubles, err := l.publishAll("a", `{"n": 1}`, "b", "")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"0", "1", "2", "3"}, results); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{`t "a"`, `t {"n":1}`, `t "b"`, `t ""`}, l.messages); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
				if took := time.Since(begin); troubles != tt.troubles || took < tt.least || took > tt.most {
					t.Errorf("%d troubles, %v", troubles, took)
				}
			})
		})
	}
}

// TestGivesUp: when the time is up, or there is no hope, it is told, and how far it came.
func TestGivesUp(t *testing.T) {
	forever := make([]failure, 100)
	refused := make([]failure, 100)
	for i := range refused {
		refused[i] = failure{status: 403}
	}
	tests := map[string]struct {
		failures []failure
		after    time.Duration
		want     string
	}{
		"no connection": {forever, 30 * time.Second, "cannot reach http://localhost: connection reset"},
		"no permission": {refused, 0, "overloaded: 403"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				l := &ledger{t: t, failures: tt.failures}
				results, _, err := l.publishAll("a", "b")
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) || len(results) > 0 {
					t.Errorf("%v, %v", results, err)
				}
				if took := time.Since(begin); took.Round(time.Second) != tt.after {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestRefusedMessages: a message that is refused for itself does not keep back the others.
func TestRefusedMessages(t *testing.T) {
	l := &ledger{t: t}
	results, _, err := l.publishAll("a", "wrong", "b")
	if diff := cmp.Diff([]string{"0", "payload_too_large", "2"}, results); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestBatches: requests are as large as they may be, and what a batch cannot have goes alone, in its place.
func TestBatches(t *testing.T) {
	large := strings.Repeat("x", MaxBatchSize)
	tests := map[string]struct {
		texts []string
		want  []int
	}{
		"a thousand and one": {strings.Split(strings.Repeat("a,", 1000)+"a", ","), []int{1000, 1}},
		"bytes in between":   {[]string{"a", "b", "\xff", "c", "d"}, []int{2, 1, 2}},
		"bytes first":        {[]string{"\xff", "\xfe", "c"}, []int{1, 1, 1}},
		"large ones":         {[]string{large, large, "a", "b"}, []int{1, 1, 2}},
		"a large one last":   {[]string{"a", "b", large}, []int{2, 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &ledger{t: t}
			_, _, err := l.publishAll(tt.texts...)
			if diff := cmp.Diff(tt.want, l.requests); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if len(l.messages) != len(tt.texts) {
				t.Errorf("%d messages of %d", len(l.messages), len(tt.texts))
			}
		})
	}
}

func TestNewMessage(t *testing.T) {
	tests := map[string]struct {
		text   string
		asText bool
		want   Message
	}{
		"text":                  {"hello", false, Message{Data: jsontext.Value(`"hello"`)}},
		"JSON":                  {`{"n": 1}`, false, Message{Data: jsontext.Value(`{"n":1}`)}},
		"JSON as text":          {`{"n": 1}`, true, Message{Data: jsontext.Value(`"{\"n\": 1}"`)}},
		"nothing":               {"", false, Message{Data: jsontext.Value(`""`)}},
		"no UTF-8":              {"\xff", false, Message{Bytes: []byte{0xff}}},
		"no UTF-8, though text": {"\xff", true, Message{Bytes: []byte{0xff}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := []byte(tt.text)
			got := NewMessage("", "", text, tt.asText)
			for i := range text {
				text[i] = '!' // a scanner does that
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPublishEndsWithItsReader: what done returns ends it.
func TestPublishEndsWithItsReader(t *testing.T) {
	l := &ledger{t: t, keys: map[string]bool{}}
	server := anonymous(t, "http://localhost")
	server.Client = NewClient(l)
	full := errors.New("the disk is full")
	p := &Publisher{Server: server}
	err := p.Publish(t.Context(), []Message{NewMessage("t", "", []byte("a"), false)}, func(jsontext.Value, *Refusal) error { return full })
	if !errors.Is(err, full) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{`t "a"`}, l.messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
