package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fasthttp/websocket"

	"fanfare/models"
)

// kernelBuffer is what the kernel is asked to hold for a peer that does not read, in
// bytes; left to itself it holds some 4 MB. Linux takes it twice.
const kernelBuffer = 64 << 10

// maxRest is how much of what the socket does not take at once is copied, in bytes. The
// rest stays where it is shared.
const maxRest = 64 << 10

// Options configures a WebSocket. Every field must be set.
type Options struct {
	// FrameSize bounds a message from the peer, in bytes. More closes with 1009.
	FrameSize int
	// Silence is how long the peer may send nothing, not even a pong. More closes
	// with 4002.
	Silence time.Duration
	// Linger is how long the peer has, after the close frame was queued, to take what
	// is written and to leave.
	Linger time.Duration
}

// WebSocket is the server's side of one connection, with a goroutine that reads and,
// while the socket is full, one that writes. It is a broker.Conn: Format, Write and
// Close are for the one that writes, Read and Finish for the one that reads, at the
// same time.
type WebSocket struct {
	// Set by NewWebSocket, never changed.
	ws      *websocket.Conn
	socket  net.Conn
	direct  *directWriter
	options Options

	// mu guards the two deadlines against each other, and what the writing goroutine
	// shares with Write.
	mu      sync.Mutex
	closing bool
	// rest is what the writing goroutine is at; while there is any, the socket is full.
	rest []byte
	// room is who wants to know when it is not.
	room func()
	err  error

	// writer ends with the writing goroutine.
	writer sync.WaitGroup
}

// NewWebSocket takes over a connection after its handshake. From then on nothing else
// may use it.
func NewWebSocket(ws *websocket.Conn, options Options) *WebSocket {
	socket := ws.NetConn()
	if hijacked, ok := socket.(interface{ UnsafeConn() net.Conn }); ok {
		socket = hijacked.UnsafeConn()
	}
	mute(ws)
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(kernelBuffer)
	}
	ws.SetReadLimit(int64(options.FrameSize))
	return &WebSocket{ws: ws, socket: socket, direct: newDirectWriter(socket), options: options}
}

// mute keeps the library from writing: what is wrong with a frame it would answer by
// itself, into the middle of what Write has begun, and leave a deadline on the socket.
// After a write that failed it writes nothing more. Not for TLS, which does not get over
// a write that ran out of time.
func mute(ws *websocket.Conn) {
	_ = ws.SetWriteDeadline(time.Unix(1, 0))
	_ = ws.WriteMessage(websocket.BinaryMessage, nil)
	_ = ws.NetConn().SetWriteDeadline(time.Time{})
}

// Format implements broker.Conn.
func (c *WebSocket) Format() models.Format { return webSocketFormat{} }

// Write implements broker.Conn. Some of what the socket does not take at once is copied
// and left to a goroutine; until that is through, nothing more is taken.
func (c *WebSocket) Write(b []byte, room func()) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.rest != nil {
		c.room = room
		return 0, nil
	}
	n, err := c.direct.write(b)
	if err != nil {
		return 0, err
	}
	if n == len(b) {
		return n, nil
	}
	taken := min(n+maxRest, len(b))
	c.rest = bytes.Clone(b[n:taken])
	if taken < len(b) {
		c.room = room
	}
	c.writer.Go(c.writeRest)
	return taken, nil
}

// writeRest writes what the socket did not take at once, and then asks for more.
func (c *WebSocket) writeRest() {
	_, err := c.socket.Write(c.rest)
	c.mu.Lock()
	room := c.room
	c.err, c.rest, c.room = err, nil, nil
	c.mu.Unlock()
	if room != nil {
		room()
	}
}

// Close implements broker.Conn: from now on the peer has the linger time.
func (c *WebSocket) Close(models.CloseCode) { c.linger() }

func (c *WebSocket) linger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing = true
		_ = c.socket.SetDeadline(time.Now().Add(c.options.Linger))
	}
}

// Read hands every message of the peer to receive and every ready-made answer to a
// control frame to reply, until the connection ends, and returns why. An answer must
// leave through Write. Both may take their time: meanwhile nothing more is read, of this
// connection alone. What the peer sends after a Close is dropped.
func (c *WebSocket) Read(receive func(payload []byte, binary bool), reply func(frame []byte)) models.CloseCode {
	c.ws.SetPingHandler(func(payload string) error {
		c.heard()
		reply(pong(payload))
		return nil
	})
	c.ws.SetPongHandler(func(string) error {
		c.heard()
		return nil
	})
	// The close frame that answers the peer's leaves through Write, too.
	c.ws.SetCloseHandler(func(int, string) error { return nil })
	for {
		c.heard()
		kind, payload, err := c.ws.ReadMessage()
		if err != nil {
			return closeCode(err)
		}
		if kind == websocket.TextMessage && !utf8.Valid(payload) {
			return models.CloseInvalidUTF8
		}
		if !c.isClosing() {
			receive(payload, kind == websocket.BinaryMessage)
		}
	}
}

func (c *WebSocket) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// heard gives a peer that was heard from more time.
func (c *WebSocket) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.socket.SetReadDeadline(time.Now().Add(c.options.Silence))
	}
}

// Finish lets a closed connection end well: it waits until what Write took is written
// and the peer has gone too, within the linger time. Without it, what the peer is still
// sending would make the kernel reset the connection and the close frame could be lost.
func (c *WebSocket) Finish() {
	c.linger()
	c.writer.Wait()
	if half, ok := c.socket.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, c.socket)
}

// closeCode tells what an error of reading means.
func closeCode(err error) models.CloseCode {
	closed, isClose := errors.AsType[*websocket.CloseError](err)
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case isClose && closed.Code == websocket.CloseAbnormalClosure:
		return models.CloseAbnormal
	case isClose:
		return models.CloseNormal
	case errors.Is(err, websocket.ErrReadLimit):
		return models.CloseTooBig
	case errors.Is(err, os.ErrDeadlineExceeded):
		return models.ClosePingTimeout
	case isNet || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF):
		return models.CloseAbnormal
	default:
		return models.CloseProtocolError
	}
}
