package fanfare_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/app/severable"
	fanfare "fanfare/clients/go"
)

// signingKey is that of the server's tokens.
const signingKey = "a key for tests, of thirty-two bytes or more"

// world is what a scenario happens in.
type world struct {
	t       *testing.T
	dir     string // has the store
	environ []string
	admin   string // the token of the test itself, empty without auth
	server  *process
	way     *severable.Way

	clients       map[string]*actor
	subscriptions map[string]*listener
	reading       sync.WaitGroup
}

func newWorld(t *testing.T, s scenario) *world {
	w := &world{
		t: t, dir: t.TempDir(),
		clients: make(map[string]*actor), subscriptions: make(map[string]*listener),
	}
	if s.Server.Durable {
		w.environ = append(w.environ, "FANFARE_ENGINE=nats", "FANFARE_NATS_EMBEDDED=true", "FANFARE_NATS_STORE_DIR="+w.dir)
	}
	if s.Server.Auth {
		w.environ = append(w.environ, "FANFARE_AUTH_JWT_ALGORITHMS=HS256", "FANFARE_AUTH_JWT_KEY="+signingKey, "FANFARE_AUTH_JWT_LEEWAY=0s")
		w.admin = sign(signingKey, time.Hour, map[string]any{"publish": []string{">"}, "subscribe": []string{">"}, "admin": true})
	}
	for key, value := range s.Server.Env {
		w.environ = append(w.environ, key+"="+value)
	}
	w.server = startProcess(t, w.dir, w.environ)
	w.way = severable.New(t, w.server.address)
	t.Cleanup(w.close)
	return w
}

// close ends the clients, and then what was told of losses has to be what the steps have waited for.
func (w *world) close() {
	for _, a := range w.clients {
		a.client.Close()
	}
	w.reading.Wait()
	for name, l := range w.subscriptions {
		if told := l.losses(); told != l.waited {
			w.t.Errorf("%s was told of %d losses, not %d", name, told, l.waited)
		}
	}
	clear(w.clients)
	clear(w.subscriptions)
}

// sign makes a token.
func sign(key string, life time.Duration, grant map[string]any) string {
	claims, err := json.Marshal(map[string]any{"sub": "user", "exp": time.Now().Add(life).Unix(), "fanfare": grant})
	if err != nil {
		panic(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// ask asks the server itself, as an administrator.
func (w *world) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+w.server.address+path, &content)
	if err != nil {
		return nil, err
	}
	request.Close = true
	request.Header.Set("Content-Type", "application/json")
	if w.admin != "" {
		request.Header.Set("Authorization", "Bearer "+w.admin)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	return text, err
}

// publish publishes numbers in batches.
func (w *world) publish(ctx context.Context, topic string, from, to int) error {
	const most = 1000
	for ; from <= to; from += most {
		var messages []map[string]any
		for n := from; n <= min(to, from+most-1); n++ {
			messages = append(messages, map[string]any{"topic": topic, "data": n})
		}
		text, err := w.ask(ctx, http.MethodPost, "/publish", map[string]any{"messages": messages})
		if err != nil {
			return err
		}
		if strings.Contains(string(text), `"code"`) {
			return fmt.Errorf("not all were published: %.1000s", text)
		}
	}
	return nil
}

func (w *world) client(name string) (*actor, error) {
	if a, ok := w.clients[name]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("there is no client %s", name)
}

func (w *world) subscription(name string) (*listener, error) {
	if l, ok := w.subscriptions[name]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("there is no subscription %s", name)
}

// actor is a client, and what it was heard to do.
type actor struct {
	client *fanfare.Client

	connections counter
	tokens      counter

	mu sync.Mutex
	id string // of the present connection
}

func (a *actor) connected(id string) {
	a.mu.Lock()
	a.id = id
	a.mu.Unlock()
	a.connections.add()
}

// counter counts, and can be waited for.
type counter struct {
	mu      sync.Mutex
	count   int
	changed chan struct{}
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// await waits until so many were counted.
func (c *counter) await(ctx context.Context, least int) error {
	for {
		c.mu.Lock()
		if c.count >= least {
			c.mu.Unlock()
			return nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d instead of %d: %w", c.get(), least, ctx.Err())
		}
	}
}

// listener reads a subscription.
type listener struct {
	actor        *actor
	subscription *fanfare.Subscription
	// messages is closed at the end, of which ended has the error.
	messages chan heard
	ended    error
	// losses it was told of, and waited for by steps.
	lost   counter
	waited int
}

// heard is a message, and how many losses were told before it.
type heard struct {
	number int
	losses int
}

func (l *listener) losses() int { return l.lost.get() }

// read reads to the end.
func (l *listener) read(done <-chan struct{}) {
	defer close(l.messages)
	for message, err := range l.subscription.Messages(context.Background()) {
		if _, lost := errors.AsType[*fanfare.LostError](err); lost {
			l.lost.add()
			continue
		}
		if _, dropped := errors.AsType[*fanfare.DroppedError](err); dropped {
			continue // which the steps see by what they receive
		}
		h := heard{losses: l.lost.get()}
		if err == nil {
			err = message.Decode(&h.number)
		}
		if err != nil {
			l.ended = err
			return
		}
		select {
		case l.messages <- h:
		case <-done:
			return
		}
	}
}

// next waits for the next number. A loss that no step has waited for is an error.
func (l *listener) next(ctx context.Context) (int, error) {
	select {
	case h, ok := <-l.messages:
		if !ok {
			return 0, fmt.Errorf("it has ended: %w", l.ended)
		}
		if h.losses != l.waited {
			return 0, fmt.Errorf("%d losses were told before %d, not %d", h.losses, h.number, l.waited)
		}
		return h.number, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// receive waits for exactly these.
func (l *listener) receive(ctx context.Context, from, to int) error {
	for want := from; want <= to; want++ {
		got, err := l.next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %d: %w", want, err)
		}
		if got != want {
			return fmt.Errorf("%d came in place of %d", got, want)
		}
	}
	return nil
}
