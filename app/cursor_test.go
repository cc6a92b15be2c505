package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/models"
)

// listening is one connection of a listener, whatever carries it: next gives the next frame.
type listening interface {
	next() (listened, error)
	close()
}

// listened is any frame, and the cursor that comes with it, if one does.
type listened struct {
	Type      string         `json:"type"`
	ID        models.ID      `json:"id"`
	Topic     models.Topic   `json:"topic"`
	Data      jsontext.Value `json:"data"`
	From      string         `json:"from"`
	Encoding  string         `json:"encoding"`
	Recovered *bool          `json:"recovered"`
	Code      jsontext.Value `json:"code"` // a text, or in NDJSON's close a number
}

// transports are all the ways to listen to topics since an id.
func (s *server) transports() map[string]func(topics []string, since string) (listening, error) {
	return map[string]func(topics []string, since string) (listening, error){
		"websocket": s.listenWebSocket,
		"sse": func(topics []string, since string) (listening, error) {
			return s.listenStream("text/event-stream", topics, since)
		},
		"ndjson": func(topics []string, since string) (listening, error) {
			return s.listenStream("application/x-ndjson", topics, since)
		},
		"poll": s.listenPoll,
	}
}

type webSocketListening struct{ client foreign }

func (s *server) listenWebSocket(topics []string, since string) (listening, error) {
	client, err := dialCoder(s.t.Context(), s)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"action": "subscribe", "topics": topics, "since": since})
	if err != nil {
		return nil, err
	}
	if _, err := client.receive(); err != nil { // the welcome
		return nil, err
	}
	return webSocketListening{client}, client.send(string(text))
}

func (l webSocketListening) next() (f listened, err error) {
	text, err := l.client.receive()
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}

func (l webSocketListening) close() { _ = l.client.close() }

// streamListening is GET /events, as lines of JSON or as events whose data is one.
type streamListening struct {
	cancel func()
	body   io.Closer
	lines  *bufio.Scanner
}

func (s *server) listenStream(accept string, topics []string, since string) (listening, error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	query := url.Values{"topic": topics, "since": {since}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("http")+"/events?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := s.client.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != accept {
		cancel()
		_ = response.Body.Close()
		return nil, fmt.Errorf("%s, %s", response.Status, got)
	}
	return &streamListening{cancel: cancel, body: response.Body, lines: bufio.NewScanner(response.Body)}, nil
}

func (l *streamListening) next() (f listened, err error) {
	for l.lines.Scan() {
		text := strings.TrimPrefix(l.lines.Text(), "data: ")
		if strings.HasPrefix(text, "{") {
			return f, json.Unmarshal([]byte(text), &f)
		}
	}
	return f, fmt.Errorf("the stream has ended: %w", l.lines.Err())
}

func (l *streamListening) close() {
	l.cancel()
	_ = l.body.Close()
}

// pollListening asks again and again, and makes the frames that a stream would have.
type pollListening struct {
	s       *server
	pattern string
	since   string
	begun   bool
	frames  []listened
}

func (s *server) listenPoll(topics []string, since string) (listening, error) {
	return &pollListening{s: s, pattern: topics[0], since: since}, nil
}

func (l *pollListening) next() (f listened, err error) {
	for len(l.frames) == 0 {
		var page struct {
			Messages  []listened `json:"messages"`
			Recovered *bool      `json:"recovered"`
			Next      models.ID  `json:"next"`
		}
		request, err := http.NewRequestWithContext(l.s.t.Context(), http.MethodGet,
			l.s.url("http")+"/topics/"+url.PathEscape(l.pattern)+"/messages?limit=7&wait=1s&since="+l.since, nil)
		if err != nil {
			return f, err
		}
		response, err := l.s.client.Do(request)
		if err != nil {
			return f, err
		}
		err = json.UnmarshalRead(response.Body, &page)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			return f, fmt.Errorf("%s %w", response.Status, err)
		}
		if !l.begun || !*page.Recovered {
			l.frames = append(l.frames, listened{Type: "ack", Recovered: page.Recovered})
		}
		l.begun = true
		for _, m := range page.Messages {
			m.Type = "message"
			l.frames = append(l.frames, m)
		}
		// What next says is known of behind the messages of the page.
		l.frames = append(l.frames, listened{Type: "caught_up", ID: page.Next})
		l.since = page.Next.String()
	}
	f, l.frames = l.frames[0], l.frames[1:]
	return f, nil
}

func (l *pollListening) close() {}

// TestOneCursor: an id from a receipt resumes on a stream of events, the id from there on a
// WebSocket, that from there on a long poll, and that on a stream of lines.
func TestOneCursor(t *testing.T) {
	s := startServer(t)
	cursor := s.publish("news.eu", "0", "text/plain").ID
	for _, transport := range []string{"sse", "websocket", "poll", "ndjson", "poll", "sse", "ndjson", "websocket"} {
		want := s.publish("news.us", transport, "text/plain").ID
		l, err := s.transports()[transport]([]string{"news.*"}, cursor.String())
		if err != nil {
			t.Fatal(err)
		}
		for i, kind := range []string{"ack", "message", "caught_up"} {
			f, err := l.next()
			if err != nil || f.Type != kind {
				t.Fatalf("%s: %+v, %v, want %s", transport, f, err, kind)
			}
			if kind == "ack" && !*f.Recovered || i > 0 && f.ID != want {
				t.Errorf("%s: %+v", transport, f)
			}
			cursor = f.ID
		}
		l.close()
	}
}

// TestListenersThatMove: listeners that go from one transport to another, in the midst of
// a replay or of what is live, with nothing but their cursor, have everything once and in
// order.
func TestListenersThatMove(t *testing.T) {
	const publishers, listeners, each = 3, 8, 200
	seed := rand.Uint64() //nolint:gosec // a test's chance
	t.Logf("seed %d", seed)
	s := startServer(t)
	begin := s.publish("start", "0", "text/plain").ID
	published := make([][]models.Receipt, publishers)
	var publishing, moving sync.WaitGroup
	for i := range published {
		publishing.Go(func() {
			for n := range each {
				receipt, _, err := s.offer([]string{"a.b", "a.c", "d"}[n%3], "x")
				if err != nil {
					t.Error(err)
					return
				}
				published[i] = append(published[i], receipt)
			}
		})
	}
	heard := make([][]models.ID, listeners)
	for i := range heard {
		moving.Go(func() {
			m := mover{s: s, random: rand.New(rand.NewPCG(seed, uint64(i))), cursor: begin} //nolint:gosec // a test's chance
			if err := m.move(); err != nil {
				t.Errorf("listener %d, seed %d: %v", i, seed, err)
			}
			heard[i] = m.heard
		})
	}
	publishing.Wait()
	s.publish("a.end", "x", "text/plain")
	moving.Wait()

	var due []models.ID
	for _, receipt := range slices.Concat(published...) {
		if receipt.Topic != "d" {
			due = append(due, receipt.ID)
		}
	}
	slices.SortFunc(due, func(a, b models.ID) int { return int(a.Sequence) - int(b.Sequence) }) //nolint:gosec // small
	for i, got := range heard {
		if !slices.Equal(got[:max(len(got)-1, 0)], due) {
			t.Errorf("listener %d, seed %d: heard %d, due were %d", i, seed, len(got), len(due))
		}
	}
}

// mover is a listener as docs/protocol.md wants one.
type mover struct {
	s      *server
	random *rand.Rand
	cursor models.ID
	heard  []models.ID
}

// move listens, leaves, and listens again, until it has heard the end.
func (m *mover) move() error {
	names := []string{"websocket", "sse", "ndjson", "poll"}
	for {
		name := names[m.random.IntN(len(names))]
		l, err := m.s.transports()[name]([]string{"a.*"}, m.cursor.String())
		if err != nil {
			return err
		}
		done, err := m.listen(l, m.random.IntN(40))
		l.close()
		if done || err != nil {
			return err
		}
	}
}

// errNotRecovered is what a listener complains of.
var errNotRecovered = errors.New("recovered is false, and nothing was lost")

// listen takes some frames.
func (m *mover) listen(l listening, frames int) (done bool, err error) {
	caughtUp := false
	for range frames {
		f, err := l.next()
		if err != nil {
			return false, err
		}
		switch f.Type {
		case "ack":
			if !*f.Recovered {
				return false, fmt.Errorf("%w: %+v", errNotRecovered, f)
			}
			continue
		case "caught_up":
			caughtUp = true
		case "message":
			// What a replay repeats was heard.
			if n := len(m.heard); n == 0 || f.ID.Sequence > m.heard[n-1].Sequence {
				m.heard = append(m.heard, f.ID)
			}
		}
		if caughtUp {
			m.cursor = f.ID
		}
		if f.Topic == "a.end" {
			return true, nil
		}
	}
	return false, nil
}
