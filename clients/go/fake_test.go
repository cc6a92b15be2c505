package fanfare_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	fanfare "fanfare/clients/go"
)

// fake is a server that does what the test says, in a bubble: its network is memory, and its time passes when nobody
// has anything left to do.
type fake struct {
	t        *testing.T
	server   *http.Server
	client   *http.Client
	arrivals chan net.Conn
	accepted chan *session

	mu      sync.Mutex
	refuses bool
}

// inBubble runs a test with a fake server.
func inBubble(t *testing.T, test func(t *testing.T, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, arrivals: make(chan net.Conn), accepted: make(chan *session)}
		transport := &http.Transport{DialContext: f.dial}
		f.client = &http.Client{Transport: transport}
		f.server = &http.Server{Handler: http.HandlerFunc(f.accept)} //nolint:gosec // there are no strangers
		var serving sync.WaitGroup
		serving.Go(func() { _ = f.server.Serve(memory{f.arrivals}) })
		// A client that connects again and again has the time pass for ever.
		stuck := time.AfterFunc(24*time.Hour, func() { panic("the test waits in vain") })
		t.Cleanup(func() {
			stuck.Stop()
			transport.CloseIdleConnections()
			_ = f.server.Close()
			serving.Wait()
		})
		test(t, f)
	})
}

// memory is the listener of a fake.
type memory struct{ arrivals chan net.Conn }

func (m memory) Accept() (net.Conn, error) {
	conn, ok := <-m.arrivals
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (m memory) Close() error   { close(m.arrivals); return nil }
func (m memory) Addr() net.Addr { return &net.TCPAddr{} }

func (f *fake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	refuses := f.refuses
	f.mu.Unlock()
	if refuses {
		return nil, errors.New("refused")
	}
	here, there := net.Pipe()
	select {
	case f.arrivals <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fake) refuse(refuses bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = refuses
}

func (f *fake) accept(w http.ResponseWriter, r *http.Request) {
	if f.t.Context().Err() != nil {
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	s := &session{t: f.t, conn: conn, over: make(chan struct{})}
	select {
	case f.accepted <- s:
		<-s.over
	case <-f.t.Context().Done():
	}
	_ = conn.CloseNow()
}

// connect makes a client.
func (f *fake) connect(options fanfare.Options) *fanfare.Client {
	f.t.Helper()
	options.HTTPClient = f.client
	client, err := fanfare.Connect("http://fake", options)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

// next is the client's next connection, which was welcomed.
func (f *fake) next() *session {
	f.t.Helper()
	s := f.silent()
	s.send(`{"type":"welcome","client_id":"id","ping_interval":25,"limits":{"message_size":100,"frame_size":400,"outbox_size":1000}}`)
	return s
}

// silent is the client's next connection.
func (f *fake) silent() *session {
	f.t.Helper()
	select {
	case s := <-f.accepted:
		f.t.Cleanup(s.end)
		return s
	case <-time.After(time.Hour):
		f.t.Fatal("the client does not connect")
		return nil
	}
}

// session is the server's side of a connection.
type session struct {
	t    *testing.T
	conn *websocket.Conn
	over chan struct{}
	once sync.Once
}

// frame is a request of the client.
type frame struct {
	Action   string
	Topic    string
	Topics   []string
	Since    string
	Last     int
	Overflow string
	Presence bool
	Data     json.RawMessage
	Key      string
	Token    string
	Ref      uint64
}

// end breaks the connection.
func (s *session) end() { s.once.Do(func() { _ = s.conn.CloseNow(); close(s.over) }) }

// close closes it with a code.
func (s *session) close(code int) {
	_ = s.conn.Close(websocket.StatusCode(code), "as the test says")
	s.end()
}

func (s *session) send(frames ...string) {
	s.t.Helper()
	for _, text := range frames {
		if err := s.conn.Write(s.t.Context(), websocket.MessageText, []byte(text)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ack acknowledges a request, with an id.
func (s *session) ack(f frame, id string) {
	s.t.Helper()
	s.send(fmt.Sprintf(`{"type":"ack","action":%q,"id":%q,"ref":%d}`, f.Action, id, f.Ref))
}

// recover acknowledges a subscribe with since.
func (s *session) recover(f frame, id string, recovered bool) {
	s.t.Helper()
	s.send(fmt.Sprintf(`{"type":"ack","action":"subscribe","recovered":%v,"id":%q,"ref":%d}`, recovered, id, f.Ref))
}

// refuse answers a request with an error.
func (s *session) refuse(f frame, code string) {
	s.t.Helper()
	s.send(fmt.Sprintf(`{"type":"error","code":%q,"message":"no","ref":%d}`, code, f.Ref))
}

// message sends a message whose data is its id.
func (s *session) message(topic string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		s.send(fmt.Sprintf(`{"type":"message","id":%q,"topic":%q,"data":%q,"time":"2026-11-23T17:45:01.250Z"}`, id, topic, id))
	}
}

func (s *session) caughtUp(id string) {
	s.t.Helper()
	s.send(fmt.Sprintf(`{"type":"caught_up","id":%q}`, id))
}

// receive waits for the client's next request, which must be for an action.
func (s *session) receive(action string) frame {
	s.t.Helper()
	f := s.any()
	if f.Action != action {
		s.t.Fatalf("%+v came in place of %s", f, action)
	}
	return f
}

// afterPings waits for the client's next request that is no ping.
func (s *session) afterPings() frame {
	s.t.Helper()
	for {
		f := s.any()
		if f.Action != "ping" {
			return f
		}
		s.send(`{"type":"pong"}`)
	}
}

// any waits for the client's next request.
func (s *session) any() (f frame) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Hour)
	defer cancel()
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		s.t.Fatal(err)
	}
	return f
}
