package handlers_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
	"github.com/gorilla/websocket"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"fanfare/broker"
	"fanfare/handlers"
	"fanfare/models"
	"fanfare/transport"
)

const (
	// patience is when a test gives up. No test waits that long if all is well.
	patience = 30 * time.Second
	// messageSize is what the test servers take as a message, in bytes.
	messageSize = 64 << 10
	frameSize   = messageSize + 64<<10
	// mark stands in requests where an answer must not repeat them.
	mark = "pr1vate"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps its clock for good.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// Its cleaner notices within ten seconds that the server is gone.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// setup is what a test may change of its server.
type setup struct {
	engine   broker.Engine
	broker   broker.Options
	carrier  transport.Options
	handlers handlers.Options
	// connState is fasthttp's hook.
	connState func(net.Conn, fasthttp.ConnState)
	// handled, if there is one, is called behind each request's handler, before its connection is taken over.
	handled func()
	// tls is the server's side of it, nil for none. The server's own client knows no TLS.
	tls *tls.Config
}

// server is the real routes on a real listener, over a real PubSub.
type server struct {
	scheme  string // http, or https
	address string // host:port
	app     *fiber.App
	// close ends the PubSub and the connections, as the shutdown does first.
	close  func() error
	engine broker.Engine
	// apply changes the settings.
	apply  func(handlers.Settings)
	client *http.Client
	log    *logBook
}

// transportMode is the mode that the tests run in: FANFARE_TRANSPORT_MODE, or auto. It
// stands in the environment so that all tests can be run in each.
func transportMode() transport.Mode {
	return transport.Mode(cmp.Or(os.Getenv("FANFARE_TRANSPORT_MODE"), string(transport.ModeAuto)))
}

func newMemory() *broker.Memory {
	return broker.NewMemory(broker.History{MaxMessagesPerTopic: 1000, MaxAge: time.Hour, MaxBytes: 64 << 20, IdempotencyWindow: time.Hour})
}

func start(t testing.TB, changes ...func(*setup)) *server {
	t.Helper()
	log := &logBook{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := setup{
		engine: newMemory(),
		broker: broker.Options{
			MessageSize:   messageSize,
			FrameSize:     frameSize,
			OutboxSize:    4 << 20,
			Subscriptions: 1000,
			InFlightSize:  16 << 20,
			PublishWait:   patience,
			PingInterval:  patience,
		},
		handlers: handlers.Options{
			Version:       "v0.0.0",
			Engine:        "memory",
			Logger:        logger,
			LogLevel:      new(slog.LevelVar),
			MessageSize:   messageSize,
			HeaderTimeout: patience,
			ReadTimeout:   patience,
			WriteTimeout:  patience,
			IdleTimeout:   patience,
		},
		carrier: transport.Options{
			Mode:      transportMode(),
			FrameSize: frameSize,
			Silence:   2 * patience,
			Linger:    patience,
			Logger:    logger,
		},
	}
	for _, change := range changes {
		change(&s)
	}
	pubsub, err := broker.New(t.Context(), s.engine, s.broker)
	if err != nil {
		t.Fatal(err)
	}
	carrier, err := transport.New(s.carrier)
	if err != nil {
		t.Fatal(err)
	}
	s.handlers.PubSub, s.handlers.Carrier = pubsub, carrier
	s.handlers.Subscriptions = s.broker.Subscriptions
	if s.handlers.Ready == nil {
		s.handlers.Ready = pubsub.Ready
	}
	app, apply := handlers.New(s.handlers)
	app.Server().ConnState = s.connState
	if handle := app.Server().Handler; s.handled != nil {
		app.Server().Handler = func(c *fasthttp.RequestCtx) { handle(c); s.handled() }
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.tls != nil {
		listener = tls.NewListener(listener, s.tls)
	}
	closeClients := sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return errors.Join(pubsub.Close(ctx), carrier.Close(ctx))
	})
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(closeClients(), app.ShutdownWithContext(ctx), <-served); err != nil {
			t.Error("closing:", err)
		}
	})
	conns := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(conns.CloseIdleConnections)
	return &server{
		scheme:  "http",
		address: listener.Addr().String(),
		app:     app,
		close:   closeClients,
		engine:  s.engine,
		apply:   apply,
		log:     log,
		client: &http.Client{
			Transport:     conns,
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// answer is an HTTP response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func newAnswer(r *http.Response, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	return answer{status: r.StatusCode, header: r.Header, body: string(body)}, err
}

// try sends a request. The headers are pairs of name and value; Host is one of them.
func (s *server) try(method, path, body string, headers ...string) (answer, error) {
	request, err := http.NewRequest(method, s.scheme+"://"+s.address, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.URL.Opaque = path // goes out as it is
	for pair := range slices.Chunk(headers, 2) {
		if pair[0] == "Host" {
			request.Host = pair[1]
			continue
		}
		request.Header.Add(pair[0], pair[1])
	}
	return newAnswer(s.client.Do(request)) //nolint:bodyclose // newAnswer does
}

func (s *server) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := s.try(method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *server) get(t *testing.T, path string) answer {
	t.Helper()
	return s.do(t, "GET", path, "")
}

// getInto reads the body of a 200 into what v points to.
func (s *server) getInto(t *testing.T, path string, v any) {
	t.Helper()
	a := s.get(t, path)
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	unmarshal(t, a.body, v)
}

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v, in %q", err, text)
	}
}

// settle puts placeholders where a text differs from run to run.
func settle(text string) string {
	for pattern, placeholder := range map[string]string{
		`id":"[a-z0-9]{8}-[0-9]+"`: `id":"ID"`,
		`time":"[0-9T:.-]{23}Z"`:   `time":"TIME"`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, placeholder)
	}
	return text
}

// quote makes a JSON string of text.
func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := jsontext.AppendQuote(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// eventually looks until something is so.
func eventually(t *testing.T, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !isSo(); {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
		runtime.Gosched()
	}
}

// publish publishes over REST and gives the message's id.
func (s *server) publish(t *testing.T, escapedTopic, body string, headers ...string) string {
	t.Helper()
	a := s.do(t, "POST", "/topics/"+escapedTopic+"/publish", body, headers...)
	if a.status != http.StatusOK {
		t.Fatalf("publish to %s: %d %s", escapedTopic, a.status, a.body)
	}
	var receipt struct {
		ID string `json:"id"`
	}
	unmarshal(t, a.body, &receipt)
	return receipt.ID
}

// retained gives what the log holds of a pattern.
func (s *server) retained(t *testing.T, pattern models.Pattern) []*models.Message {
	t.Helper()
	position, err := s.engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stretch, err := s.engine.Read(t.Context(), broker.Query{
		Patterns: []models.Pattern{pattern}, After: models.ID{Epoch: position.Epoch}, UpTo: position, Limit: 10_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return stretch.Messages
}

// checkProblem holds an answer to what every error promises.
func (a answer) checkProblem(t *testing.T, status int, code models.Code) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d", a.status, status)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	var p models.Problem
	if err := json.Unmarshal([]byte(a.body), &p, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("the body is no problem: %v, in %q", err, a.body)
	}
	if p.Code != code {
		t.Errorf("code %q, want %q", p.Code, code)
	}
	if p.Status != a.status || p.Title != http.StatusText(a.status) || p.Type != "about:blank" || p.Detail == "" {
		t.Errorf("not what RFC 9457 asks for: %s", a.body)
	}
	if strings.Contains(a.body, mark) {
		t.Errorf("the answer repeats the request: %s", a.body)
	}
}

// rawConn is a client that writes what it likes.
type rawConn struct {
	*net.TCPConn
	r *bufio.Reader
}

func (s *server) dialRaw(t *testing.T) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{TCPConn: conn.(*net.TCPConn), r: bufio.NewReader(conn)}
}

func (c *rawConn) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads the next response to a request with that method.
func (c *rawConn) answer(t *testing.T, method string) answer {
	t.Helper()
	a, err := newAnswer(http.ReadResponse(c.r, &http.Request{Method: method})) //nolint:bodyclose // newAnswer does
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// isAnswered tells whether a response has come.
func (c *rawConn) isAnswered(t *testing.T) bool {
	t.Helper()
	err := c.SetReadDeadline(time.Now().Add(time.Millisecond)) // one that is over reads nothing
	_, none := c.r.Peek(1)
	if err = errors.Join(err, c.SetReadDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return none == nil
}

// answers reads responses until the server closes the connection.
func (c *rawConn) answers(t *testing.T) []answer {
	t.Helper()
	var all []answer
	for {
		a, err := newAnswer(http.ReadResponse(c.r, nil)) //nolint:bodyclose // newAnswer does
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return all
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		all = append(all, a)
	}
}

// handshake is the headers that ask for a WebSocket.
func handshake() []string {
	return []string{
		"Connection", "Upgrade",
		"Upgrade", "websocket",
		"Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==",
	}
}

// wsClient is a client of /ws that has been greeted.
type wsClient struct {
	*websocket.Conn
	id string
}

// dial connects. The headers are pairs of name and value.
func (s *server) dial(t *testing.T, headers ...string) *wsClient {
	t.Helper()
	c := s.upgrade(t, "", headers...)
	var welcome struct {
		ClientID string `json:"client_id"`
	}
	unmarshal(t, c.next(t), &welcome)
	c.id = welcome.ClientID
	return c
}

func (c *wsClient) send(t *testing.T, text string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// next gives the next frame as it came.
func (c *wsClient) next(t *testing.T) string {
	t.Helper()
	kind, text, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if kind != websocket.TextMessage {
		t.Fatalf("a frame of type %d: %q", kind, text)
	}
	return string(text)
}

// ask sends a frame and gives the next that comes.
func (c *wsClient) ask(t *testing.T, text string) string {
	t.Helper()
	c.send(t, text)
	return c.next(t)
}

// subscribe subscribes to a pattern, which needs no escape in JSON, and waits for the ack.
func (c *wsClient) subscribe(t *testing.T, pattern string) {
	t.Helper()
	if got := c.ask(t, `{"action":"subscribe","topic":"`+pattern+`"}`); !strings.HasPrefix(got, `{"type":"ack"`) {
		t.Fatalf("subscribe to %s: %s", pattern, got)
	}
}

// closeCode reads until the server closes the connection and gives the code.
func (c *wsClient) closeCode(t *testing.T) int {
	t.Helper()
	for {
		_, _, err := c.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// listener is a client of /events.
type listener struct {
	t      *testing.T
	header http.Header
	body   *bufio.Reader
	// leave ends the connection.
	leave func()
	// lastID and retry are what a browser remembers.
	lastID, retry string
}

// listen connects, with the query as it is. The headers are pairs of name and value.
func (s *server) listen(t *testing.T, query string, headers ...string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Add(pair[0], pair[1])
	}
	response, err := s.client.Transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("GET /events?%s: %d %s", query, response.StatusCode, body)
	}
	return &listener{t: t, header: response.Header, body: bufio.NewReader(response.Body), leave: cancel}
}

// event is what a browser dispatches.
type event struct{ name, id, data string }

// next gives the next event, as a browser finds it (WHATWG HTML, section 9.2.6).
func (l *listener) next() event {
	l.t.Helper()
	e, ok := l.try()
	if !ok {
		l.t.Fatal("the stream has ended")
	}
	return e
}

// try is next, unless the stream has ended.
func (l *listener) try() (event, bool) {
	l.t.Helper()
	var name string
	var data []string
	for {
		line, ok := l.line()
		if !ok {
			return event{}, false
		}
		if line == "" {
			if data != nil {
				return event{name: name, id: l.lastID, data: strings.Join(data, "\n")}, true
			}
			name = ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data = append(data, value)
		case "id":
			l.lastID = value
		case "retry":
			l.retry = value
		}
	}
}

// line gives the next line, without its end, unless the stream has ended.
func (l *listener) line() (string, bool) {
	l.t.Helper()
	var line []byte
	for {
		c, err := l.body.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return string(line), false
		case err != nil:
			l.t.Fatal(err)
		case c == '\n', c == '\r':
			if c == '\r' {
				if next, err := l.body.Peek(1); err == nil && next[0] == '\n' {
					_, _ = l.body.Discard(1)
				}
			}
			return string(line), true
		}
		line = append(line, c)
	}
}

// logBook is what the server has logged.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// having gives the lines that contain all of the texts.
func (l *logBook) having(texts ...string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			lines = append(lines, line)
		}
	}
	return lines
}
