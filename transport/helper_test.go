package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"fanfare/models"
)

// patience is when a test gives up. No test waits that long if all is well.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps its clock for good, and its cleaner notices within ten seconds
		// that the server is gone.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// modes are the ways to read that there are on this system.
func modes() []Mode {
	if hasEpoll {
		return []Mode{ModeEpoll, ModeGoroutine}
	}
	return []Mode{ModeGoroutine}
}

// inEachMode runs a test in every mode.
func inEachMode(t *testing.T, test func(t *testing.T, options Options)) {
	t.Helper()
	for _, mode := range modes() {
		t.Run(string(mode), func(t *testing.T) { test(t, patient(mode)) })
	}
}

func patient(mode Mode) Options {
	return Options{
		Mode:      mode,
		FrameSize: 64 << 10,
		Silence:   patience,
		Linger:    patience,
		Logger:    slog.New(slog.DiscardHandler),
	}
}

// inEachServer is inEachMode for servers that have nothing special but perhaps their linger
// time; one of them has TLS.
func inEachServer(t *testing.T, linger time.Duration, test func(t *testing.T, s *server)) {
	t.Helper()
	inEachMode(t, func(t *testing.T, options Options) {
		options.Linger = linger
		test(t, start(t, options))
	})
	t.Run("TLS", func(t *testing.T) {
		options := patient(ModeGoroutine)
		options.Linger = linger
		test(t, startTLS(t, options))
	})
}

// server is a Carrier behind a real listener.
type server struct {
	t       *testing.T
	carrier *Carrier
	address string
	// tls is what clients need of it, nil without TLS.
	tls      *tls.Config
	accepted chan *Conn
	// close closes the carrier, the first time.
	close func(ctx context.Context) error
}

func start(t *testing.T, options Options) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, options, listener, nil)
}

// startTLS is start with a certificate that its clients trust.
func startTLS(t *testing.T, options Options) *server {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(lender.Certificate())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener = tls.NewListener(listener, &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12})
	return startOn(t, options, listener, &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12})
}

func startOn(t *testing.T, options Options, listener net.Listener, clients *tls.Config) *server {
	t.Helper()
	carrier, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, carrier: carrier, address: listener.Addr().String(), tls: clients,
		accepted: make(chan *Conn, 1),
	}
	var once sync.Once
	s.close = func(ctx context.Context) (err error) {
		once.Do(func() { err = carrier.Close(ctx) })
		return err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().KeepHijackedConns = !carrier.CopiesDescriptors()
	app.Get("/", contrib.New(func(ws *contrib.Conn) {
		conn, err := carrier.Accept(ws.Conn, "", false)
		if err != nil {
			t.Error(err)
		}
		s.accepted <- conn
	}))
	app.Get("/listen", func(c *fiber.Ctx) error {
		c.Context().HijackSetNoResponse(true)
		c.Context().Hijack(func(hijacked net.Conn) {
			conn, err := carrier.AcceptOneWay(hijacked, "", SSE{})
			if err != nil {
				t.Error(err)
			}
			s.accepted <- conn
		})
		return nil
	})
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	// A server that is shut down before it serves would serve for ever.
	probe := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: clients}}
	response, err := probe.Get(s.url("http") + "/nothing")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(app.ShutdownWithContext(ctx), <-served, s.close(ctx)); err != nil {
			t.Error("closing the server:", err)
		}
	})
	return s
}

// url is that of the server, over a protocol or that with TLS.
func (s *server) url(protocol string) string {
	if s.tls != nil {
		protocol += "s"
	}
	return protocol + "://" + s.address
}

// connect gives both ends of a connection: ours, which is not served yet, and a foreign
// client's.
func (s *server) connect() (*Conn, *websocket.Conn) {
	s.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: s.tls}
	client, response, err := dialer.DialContext(s.t.Context(), s.url("ws"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	s.t.Cleanup(func() { _ = client.Close() })
	if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	// What ends is up to the test.
	client.SetCloseHandler(func(int, string) error { return nil })
	return <-s.accepted, client
}

// awaitEmpty waits until the server has no connection any more.
func (s *server) awaitEmpty() {
	s.t.Helper()
	eventually(s.t, "no connection", func() bool {
		s.carrier.mu.Lock()
		defer s.carrier.mu.Unlock()
		return s.carrier.live == 0
	})
}

// connect is one connection to a server of its own. The test ends it, or serves it: the
// client leaves when the test is over.
func connect(t *testing.T, options Options) (*Conn, *websocket.Conn) {
	t.Helper()
	return start(t, options).connect()
}

// writer writes to a connection as a client's shard does, and counts.
type writer struct {
	conn *Conn
	room chan struct{}
	// short counts the writes that were not taken in full.
	short int
}

func newWriter(conn *Conn) *writer {
	return &writer{conn: conn, room: make(chan struct{}, 16)}
}

func (w *writer) hasRoom() { w.room <- struct{}{} }

// try writes once, from a buffer that does not stay as it is.
func (w *writer) try(b []byte) (int, error) {
	lent := append([]byte(nil), b...)
	n, err := w.conn.Write(lent, w.hasRoom)
	for i := range lent {
		lent[i] = 0xee
	}
	if err == nil && n < len(b) {
		w.short++
	}
	return n, err
}

// write writes all of b, and waits for room as often as it takes.
func (w *writer) write(b []byte) error {
	for {
		n, err := w.try(b)
		if err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		<-w.room
	}
}

// fill writes b until the peer would have to read first, and tells how often it went in
// whole. What of the last one is left over is the result, too.
func (w *writer) fill(t *testing.T, b []byte) (whole int, rest []byte) {
	t.Helper()
	for {
		n, err := w.try(b)
		if err != nil {
			t.Fatal(err)
		}
		if n < len(b) {
			return whole, b[n:]
		}
		whole++
	}
}

// received is one message of the peer.
type received struct {
	payload string
	binary  bool
}

// reader is a Session that hands on what it gets. Answers to control frames go out at
// once.
type reader struct {
	writer   *writer
	messages chan received
	ended    chan models.CloseCode
	// finish is closed for Ended to return; nil for at once.
	finish chan struct{}
}

func newReader(conn *Conn) *reader {
	return &reader{writer: newWriter(conn), messages: make(chan received, 1000), ended: make(chan models.CloseCode, 1)}
}

func (r *reader) Receive(payload []byte, binary bool) {
	r.messages <- received{string(payload), binary}
	for i := range payload { // it was lent
		payload[i] = 0xee
	}
}

func (r *reader) Reply(frame []byte) { _ = r.writer.write(frame) }

func (r *reader) Ended(reason models.CloseCode) {
	close(r.messages)
	r.ended <- reason
	if r.finish != nil {
		<-r.finish
	}
}

// read serves a connection. The messages and then the reason come over the channels.
func read(conn *Conn) *reader {
	r := newReader(conn)
	conn.Serve(r)
	return r
}

// await gives what comes over a channel.
func await[T any](t *testing.T, channel <-chan T) T {
	t.Helper()
	select {
	case value := <-channel:
		return value
	case <-time.After(patience):
		t.Fatal("it does not come to that")
		panic("unreachable")
	}
}

// eventually looks until something is so.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !isSo(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come to that: ", what)
		}
	}
}

// vanish ends the client's side with a reset.
func vanish(t *testing.T, client *websocket.Conn) {
	t.Helper()
	tcp := tcpOf(client)
	if err := tcp.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := tcp.Close(); err != nil {
		t.Fatal(err)
	}
}

// tcpOf gives a client's socket, which may be below TLS.
func tcpOf(client *websocket.Conn) *net.TCPConn {
	conn := client.NetConn()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return conn.(*net.TCPConn)
}

// sendBytes sends what no library would.
func sendBytes(t *testing.T, client *websocket.Conn, bytes string) {
	t.Helper()
	if _, err := client.NetConn().Write([]byte(bytes)); err != nil {
		t.Fatal(err)
	}
}

func closeCodeOf(err error) models.CloseCode {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
		return models.CloseCode(closed.Code) //nolint:gosec // two bytes on the wire
	}
	return 0
}
