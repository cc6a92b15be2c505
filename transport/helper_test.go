package transport

import (
	"context"
	"errors"
	"net"
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

func patient() Options {
	return Options{FrameSize: 64 << 10, Silence: patience, Linger: patience}
}

// connect gives both ends of a connection: ours and a foreign client's.
func connect(t *testing.T, options Options) (*WebSocket, *websocket.Conn) {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	accepted, over := make(chan *WebSocket, 1), make(chan struct{})
	app.Get("/", contrib.New(func(ws *contrib.Conn) {
		accepted <- NewWebSocket(ws.Conn, options)
		<-over
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		close(over)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(app.ShutdownWithContext(ctx), <-served); err != nil {
			t.Error("closing the server:", err)
		}
	})
	client, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = client.Close() })
	if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// What ends is up to the test.
	client.SetCloseHandler(func(int, string) error { return nil })
	return <-accepted, client
}

// writer writes to a connection as a client's shard does, and counts.
type writer struct {
	conn *WebSocket
	room chan struct{}

	// short counts the writes that were not taken in full, rooms the calls of room.
	short int
	mu    sync.Mutex
	rooms int
}

func newWriter(conn *WebSocket) *writer {
	return &writer{conn: conn, room: make(chan struct{}, 16)}
}

func (w *writer) hasRoom() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rooms++
	w.room <- struct{}{}
}

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

// read reads until the connection ends. The messages and then the reason come over the
// channels; answers to control frames go out at once.
func read(conn *WebSocket) (<-chan received, <-chan models.CloseCode) {
	messages, ended := make(chan received, 100), make(chan models.CloseCode, 1)
	w := newWriter(conn)
	go func() {
		defer close(messages)
		ended <- conn.Read(
			func(payload []byte, binary bool) { messages <- received{string(payload), binary} },
			func(frame []byte) { _ = w.write(frame) })
	}()
	return messages, ended
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

// vanish ends the client's side with a reset.
func vanish(t *testing.T, client *websocket.Conn) {
	t.Helper()
	if err := client.NetConn().(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
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
