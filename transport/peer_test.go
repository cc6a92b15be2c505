package transport

import (
	"bufio"
	"crypto/tls"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"fanfare/models"
)

// peer is a client without a library. At the other end is an echo.
type peer struct {
	halfConn
	// tcp is that, or what carries its TLS.
	tcp *net.TCPConn
	t   *testing.T
	r   *bufio.Reader
	// ended has why the server's side ended.
	ended <-chan models.CloseCode
}

// halfConn is a connection of which one half can be closed.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// dial connects, and says nothing.
func (s *server) dial(t *testing.T) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	tcp := conn.(*net.TCPConn)
	if s.tls == nil {
		return &peer{halfConn: tcp, tcp: tcp, t: t, r: bufio.NewReader(tcp)}
	}
	config := s.tls.Clone()
	config.ServerName = "127.0.0.1"
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &peer{halfConn: secure, tcp: tcp, t: t, r: bufio.NewReader(secure)}
}

// meet connects. What goes first is sent in one write with the handshake.
func (s *server) meet(t *testing.T, first string) *peer {
	t.Helper()
	p := s.dial(t)
	p.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + first)
	response, err := http.ReadResponse(p.r, nil) //nolint:bodyclose // there is none
	if err != nil {
		t.Fatal(err)
	}
	// The example of section 1.3.
	if got := response.Header.Get("Sec-WebSocket-Accept"); response.StatusCode != 101 || got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("the handshake is answered with %s, %q", response.Status, got)
	}
	accepted := await(t, s.accepted)
	e := &echo{accepted, make(chan struct{}, 1), make(chan models.CloseCode, 1)}
	p.ended = e.ended
	accepted.Serve(e)
	return p
}

func (p *peer) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// hear reads to the end of the stream.
func (p *peer) hear() string {
	p.t.Helper()
	heard, err := io.ReadAll(p.r)
	if err != nil {
		p.t.Errorf("after %d bytes: %v", len(heard), err)
	}
	return string(heard)
}

// leave ends the connection, and checks what it ended with.
func (p *peer) leave(reason models.CloseCode) {
	p.t.Helper()
	_ = p.Close()
	if got := await(p.t, p.ended); got != reason {
		p.t.Errorf("the session ended with %d, want %d", got, reason)
	}
}

// echo is a Session that sends everything back. It takes the next message when the peer
// has taken the last.
type echo struct {
	conn  *Conn
	room  chan struct{}
	ended chan models.CloseCode
}

func (e *echo) Receive(payload []byte, binary bool) {
	opcode := byte(opText)
	if binary {
		opcode = opBinary
	}
	e.Reply(seal(opcode, append(make([]byte, maxHeader), payload...)))
}

func (e *echo) Reply(frame []byte) {
	for {
		n, err := e.conn.Write(frame, func() { e.room <- struct{}{} })
		if err != nil || n == len(frame) {
			return
		}
		frame = frame[n:]
		<-e.room
	}
}

func (e *echo) Ended(reason models.CloseCode) {
	e.conn.Close(reason)
	if reason != models.CloseAbnormal {
		e.Reply(e.conn.Format().Close(reason))
	}
	e.ended <- reason
}

// exchange is what a peer sends, write by write, and all that it hears.
type exchange struct {
	sends  iter.Seq[string]
	want   string
	reason models.CloseCode
}

// check has the exchange with a server.
func (e exchange) check(t *testing.T, s *server) {
	t.Helper()
	p := s.meet(t, "")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for piece := range e.sends {
			if _, err := io.WriteString(p, piece); err != nil {
				t.Error(err)
			}
		}
	}()
	got := p.hear()
	await(t, sent)
	p.leave(e.reason)
	compare(t, e.want, got)
}

// compare tells where what was heard is not what should have been.
func compare(t *testing.T, want, got string) {
	t.Helper()
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	if want != got {
		t.Errorf("from byte %d on: %.100q of %d bytes, want %.100q of %d", at, got[at:], len(got), want[at:], len(want))
	}
}

// bye is the client's farewell, goodbye the server's for a reason.
func bye() string { return fromClient(0x88, closing(models.CloseNormal, "")) }

func goodbye(code models.CloseCode) string { return fromServer(0x88, closing(code, code.String())) }

// once is a stream in one write, bytesOf in as many as it has bytes, piecesOf in writes of
// a size.
func once(stream string) iter.Seq[string] { return slices.Values([]string{stream}) }

func bytesOf(stream string) iter.Seq[string] { return piecesOf(stream, 1) }

func piecesOf(stream string, size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for piece := range slices.Chunk([]byte(stream), size) {
			if !yield(string(piece)) {
				return
			}
		}
	}
}
