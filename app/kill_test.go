//go:build unix

package app_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// startStored runs a server in a process of its own, with its log in a directory.
func startStored(t *testing.T, dir string, environ ...string) *server {
	t.Helper()
	return startProcess(t, append(storedIn(dir), environ...)...)
}

// storedIn is the environment of a server with its log in a directory.
func storedIn(dir string) []string {
	return []string{"FANFARE_ENGINE=nats", "FANFARE_NATS_EMBEDDED=true", "FANFARE_NATS_STORE_DIR=" + dir}
}

// kill ends the process as kill -9 does, and returns when it has ended.
func (s *server) kill() {
	s.t.Helper()
	if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.awaitEnd()
}

// awaitEnd returns when the process has ended, whatever its exit status.
func (s *server) awaitEnd() {
	for range s.stopped {
	}
}

// TestKill: a server is killed 20 times amid concurrent publishing, at moments of chance. Everything that
// was answered is in its log, once and in order; a publish that was cut off and is repeated with its key is
// there once; a listener who comes back hears everything; cursors of before are known.
func TestKill(t *testing.T) {
	const rounds, maxAnswers = 20, 200
	seed := newSeed(t)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's chance
	dir := t.TempDir()
	environ := []string{"FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC=1000000", "FANFARE_HISTORY_IDEMPOTENCY_WINDOW=30m"}
	s := startStored(t, dir, environ...)
	begin := s.publish("start", "0", "text/plain").ID

	var publishers []*persistent
	for i := range 4 {
		publishers = append(publishers, &persistent{name: i, keyed: i%2 == 0, random: rand.New(rand.NewPCG(seed, uint64(1+i)))}) //nolint:gosec // a test's chance
	}
	listeners := map[string]*mover{"websocket": {cursor: begin}, "sse": {cursor: begin}, "ndjson": {cursor: begin}}
	for range rounds {
		var working sync.WaitGroup
		s.listenOn(&working, listeners)
		var answers atomic.Int64
		last, cut := int64(1+random.IntN(maxAnswers)), make(chan struct{})
		for _, p := range publishers {
			working.Go(func() {
				p.publish(s, func() {
					if answers.Add(1) == last {
						close(cut)
					}
				})
			})
		}
		<-cut
		s.kill()
		working.Wait()

		s = startStored(t, dir, environ...)
		for _, p := range publishers {
			p.comeBack(s)
		}
		since := begin
		if some := publishers[random.IntN(len(publishers))].answered; len(some) > 0 {
			since = some[random.IntN(len(some))].id
		}
		s.checkLog(since, publishers)
	}

	var working sync.WaitGroup
	s.listenOn(&working, listeners)
	s.publish("a.end", "x", "text/plain")
	working.Wait()
	logged := s.checkLog(begin, publishers)
	t.Logf("%d messages", len(logged))
	for name, l := range listeners {
		if !slices.EqualFunc(l.heard, logged, func(id models.ID, m loggedMessage) bool { return id == m.ID }) {
			t.Errorf("%s has heard %d messages, %d are in the log", name, len(l.heard), len(logged))
		}
	}
}

// TestKeysAfterKill: a key of before kill -9 is known within its window, with its receipt and what it was for.
func TestKeysAfterKill(t *testing.T) {
	dir := t.TempDir()
	s := startStored(t, dir)
	first, err := s.offerKey("a", "1", "k")
	if err != nil {
		t.Fatal(err)
	}
	s.kill()

	s = startStored(t, dir)
	again, err := s.offerKey("a", "1", "k")
	if err != nil || !again.Duplicate || again.ID != first.ID || !again.Time.Equal(first.Time.Time) {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	if receipt, err := s.offerKey("a", "2", "k"); err == nil || err.Error() != "409 Conflict" {
		t.Errorf("other data with the same key: %+v, %v", receipt, err)
	}
	if other, err := s.offerKey("b", "1", "k"); err != nil || other.Duplicate {
		t.Errorf("another topic: %+v, %v", other, err)
	}
}

// answer is what was published, and the id that the answer had.
type answer struct {
	data string
	id   models.ID
}

// persistent publishes one message after the other, whatever happens to the server.
type persistent struct {
	name   int
	keyed  bool
	random *rand.Rand

	sent     int    // how many messages, before the next
	open     string // what was sent with a key, and not answered
	answered []answer
}

// publish publishes until the server is gone.
func (p *persistent) publish(s *server, answered func()) {
	for {
		p.sent++
		data := fmt.Sprintf("%d-%d %s", p.name, p.sent, strings.Repeat("x", p.random.IntN(1<<p.random.IntN(16))))
		receipt, err := p.offer(s, data)
		if refusal, ok := errors.AsType[refused](err); ok {
			s.t.Errorf("%.20s: %v", data, refusal)
		}
		switch {
		case err != nil && p.keyed:
			p.open = data
			return
		case err != nil:
			return
		case receipt.Duplicate:
			s.t.Errorf("%.20s is a duplicate: %+v", data, receipt)
		}
		p.answered = append(p.answered, answer{data, receipt.ID})
		answered()
	}
}

func (p *persistent) offer(s *server, data string) (models.Receipt, error) {
	key := ""
	if p.keyed {
		key = fmt.Sprint(p.name, "-", p.sent)
	}
	return s.offerKey([]string{"a.b", "a.c"}[len(data)%2], data, key)
}

// offerKey publishes, with an idempotency key if it is not empty.
func (s *server) offerKey(topic, data, key string) (receipt models.Receipt, err error) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url("http")+"/topics/"+topic+"/publish", strings.NewReader(data))
	if err != nil {
		return receipt, err
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return receipt, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return receipt, refused(response.Status)
	}
	return receipt, json.UnmarshalRead(response.Body, &receipt)
}

// refused is the status of an answer that is no receipt.
type refused string

func (r refused) Error() string { return string(r) }

// comeBack repeats the last message with its key: the one that was cut off, or one that was answered.
func (p *persistent) comeBack(s *server) {
	s.t.Helper()
	if !p.keyed {
		return
	}
	data := p.open
	if data == "" {
		data = p.answered[len(p.answered)-1].data
	}
	first, err := p.offer(s, data)
	if err != nil {
		s.t.Fatal(err)
	}
	if p.open != "" {
		p.open = ""
		p.answered = append(p.answered, answer{data, first.ID})
	}
	again, err := p.offer(s, data)
	if last := p.answered[len(p.answered)-1]; err != nil || first.ID != last.id || again.ID != last.id || !again.Duplicate {
		s.t.Errorf("%.20s was answered with %v, then %+v, then %+v, %v", data, last.id, first, again, err)
	}
}

// listenOn has each listener go on where it was, until the server is gone, or it has heard the end.
func (s *server) listenOn(working *sync.WaitGroup, listeners map[string]*mover) {
	for name, m := range listeners {
		working.Go(func() {
			l, err := s.transports()[name]([]string{"a.*"}, m.cursor.String())
			if err != nil {
				return // it was cut off before that
			}
			defer l.close()
			for {
				if done, err := m.listen(l, 1000); done || err != nil {
					if errors.Is(err, errNotRecovered) {
						s.t.Errorf("%s: %v", name, err)
					}
					return
				}
			}
		})
	}
}

// loggedMessage is one of the history.
type loggedMessage struct {
	ID   models.ID `json:"id"`
	Data string    `json:"data"`
}

// history gives what the log has since a cursor, and whether that is all.
func (s *server) history(pattern string, since models.ID) (messages []loggedMessage, recovered bool) {
	s.t.Helper()
	recovered = true
	for {
		var page struct {
			Messages  []loggedMessage `json:"messages"`
			Recovered bool            `json:"recovered"`
			Next      models.ID       `json:"next"`
		}
		s.get(fmt.Sprintf("/topics/%s/messages?limit=10000&since=%s", pattern, since), &page)
		recovered = recovered && page.Recovered
		if len(page.Messages) == 0 {
			return messages, recovered
		}
		messages = append(messages, page.Messages...)
		since = page.Next
	}
}

// checkLog sees whether the log since a cursor, which was given before, has all that was answered, and gives it.
func (s *server) checkLog(since models.ID, publishers []*persistent) []loggedMessage {
	s.t.Helper()
	logged, recovered := s.history("a.*", since)
	if !recovered {
		s.t.Errorf("the cursor %v is not known, or something is lost", since)
	}
	at := make(map[string]models.ID, len(logged))
	last := since
	for _, m := range logged {
		if m.ID.Epoch != last.Epoch || m.ID.Sequence <= last.Sequence {
			s.t.Errorf("%v comes after %v", m.ID, last)
		}
		last = m.ID
		if id, found := at[m.Data]; found {
			s.t.Errorf("%.20s is there twice: %v and %v", m.Data, id, m.ID)
		}
		at[m.Data] = m.ID
	}
	for _, p := range publishers {
		last := models.ID{}
		for _, a := range p.answered {
			if a.id.Sequence <= last.Sequence {
				s.t.Errorf("%.20s was answered with %v, after %v", a.data, a.id, last)
			}
			last = a.id
			if a.id.Sequence > since.Sequence && at[a.data] != a.id {
				s.t.Errorf("%.20s was answered with %v, and is at %v", a.data, a.id, at[a.data])
			}
		}
	}
	return logged
}
