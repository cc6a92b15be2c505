package transport

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// The tests of this file hold what goes over the wire to RFC 6455: the peer writes raw
// bytes, and reads raw bytes until the end of the stream. A reset in place of that end
// would be an error.

// peer is a client without a library. At the other end is an echo.
type peer struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
	// ended has why the server's side ended.
	ended <-chan models.CloseCode
}

// meet connects. What goes first is sent in one write with the handshake.
func (s *server) meet(t *testing.T, first string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &peer{TCPConn: conn.(*net.TCPConn), t: t, r: bufio.NewReader(conn)}
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
	e := &echo{newWriter(accepted), make(chan models.CloseCode, 1)}
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
	writer *writer
	ended  chan models.CloseCode
}

func (e *echo) Receive(payload []byte, binary bool) {
	opcode := byte(opText)
	if binary {
		opcode = opBinary
	}
	_ = e.writer.write(seal(opcode, append(make([]byte, maxHeader), payload...)))
}

func (e *echo) Reply(frame []byte) { _ = e.writer.write(frame) }

func (e *echo) Ended(reason models.CloseCode) {
	e.writer.conn.Close(reason)
	if reason != models.CloseAbnormal {
		_ = e.writer.write(e.writer.conn.Format().Close(reason))
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

// once is a stream in one write, bytes in as many as it has bytes.
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

// TestDialogues: all that holds for the parser holds on the wire. What comes is echoed,
// pings are answered, and whoever breaks a rule is told so, without having to say more.
func TestDialogues(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		options.FrameSize = parserLimit
		s := start(t, options)
		for name, d := range dialogues() {
			t.Run(name, func(t *testing.T) {
				want, reason := d.answer()
				first, later := d.stream, ""
				if len(d.stream)%2 == 1 { // half of them by another way
					first, later = "", d.stream
				}
				p := s.meet(t, first)
				for piece := range piecesOf(later, 1+len(later)/50) {
					p.send(piece)
				}
				if reason == models.CloseAbnormal {
					if err := p.CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				compare(t, want, p.hear())
				p.leave(reason)
			})
		}
	})
}

// answer is what an echo says to a dialogue, and how it ends if the client leaves after it.
func (d dialogue) answer() (stream string, reason models.CloseCode) {
	for _, a := range d.want {
		switch a.Opcode {
		case opText, opBinary:
			stream += fromServer(0x80|a.Opcode, a.Payload)
		case opPing:
			stream += fromServer(0x8A, a.Payload)
		case opClose:
			return stream + goodbye(models.CloseNormal), models.CloseNormal
		}
	}
	if d.code != 0 {
		return stream + goodbye(d.code), d.code
	}
	return stream, models.CloseAbnormal
}

func TestFraming(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		options.FrameSize = 1 << 20
		s := start(t, options)
		for _, size := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1<<20 - 1, 1 << 20} {
			payload := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			for kind, first := range map[string]byte{"text": 0x81, "binary": 0x82} {
				ways := map[string]iter.Seq[string]{
					"in one write":      once(fromClient(first, payload) + bye()),
					"in many writes":    piecesOf(fromClient(first, payload)+bye(), 1+size/50),
					"in two fragments":  once(fromClient(first&0x0F, payload[:size/2]) + fromClient(0x80, payload[size/2:]) + bye()),
					"in many fragments": fragments(first, payload, 1+size/50),
				}
				if size <= 128 {
					ways["a byte at a time"] = bytesOf(fromClient(first, payload) + bye())
				}
				for way, sends := range ways {
					t.Run(fmt.Sprintf("%s of %d bytes %s", kind, size, way), func(t *testing.T) {
						exchange{sends, fromServer(first, payload) + goodbye(1000), 1000}.check(t, s)
					})
				}
			}
		}
		t.Run("one byte over the limit", func(t *testing.T) {
			payload := strings.Repeat("m", options.FrameSize+1)
			exchange{once(fromClient(0x82, payload) + bye()), goodbye(1009), 1009}.check(t, s)
		})
		t.Run("100 frames in one write", func(t *testing.T) {
			var stream, want strings.Builder
			for i := range 100 {
				payload := strings.Repeat(fmt.Sprint(i, "ü"), i)
				stream.WriteString(fromClient(0x81, payload))
				want.WriteString(fromServer(0x81, payload))
			}
			exchange{once(stream.String() + bye()), want.String() + goodbye(1000), 1000}.check(t, s)
		})
		t.Run("10 messages of 1 MiB", func(t *testing.T) {
			payload := strings.Repeat("0123456789abcdef", 1<<16)
			sends := slices.Concat(slices.Repeat([]string{fromClient(0x82, payload)}, 10), []string{bye()})
			exchange{slices.Values(sends), strings.Repeat(fromServer(0x82, payload), 10) + goodbye(1000), 1000}.check(t, s)
		})
	})
}

// fragments gives a message in fragments of a size, each in a write of its own, with a
// pong that nobody has asked for behind each. Then the client leaves.
func fragments(first byte, payload string, size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		head := first &^ 0x80
		for fragment := range piecesOf(payload, size) {
			if !yield(fromClient(head, fragment) + fromClient(0x8A, "")) {
				return
			}
			head = 0x00
		}
		yield(fromClient(0x80|head, "") + bye())
	}
}

func TestPings(t *testing.T) {
	var ten, tenAnswers, all, allAnswers string
	for i := range 10 {
		ten += fromClient(0x89, fmt.Sprint(i))
		tenAnswers += fromServer(0x8A, fmt.Sprint(i))
	}
	for size := range maxControl + 1 {
		all += fromClient(0x89, strings.Repeat("p", size))
		allAnswers += fromServer(0x8A, strings.Repeat("p", size))
	}
	longest := strings.Repeat("\xfe", maxControl)
	inFragments := fromClient(0x01, "a") + fromClient(0x89, "p") + fromClient(0x00, "b") + fromClient(0x8A, "q") +
		fromClient(0x89, "") + fromClient(0x80, "c")
	inFragmentsAnswer := fromServer(0x8A, "p") + fromServer(0x8A, "") + fromServer(0x81, "abc")
	tests := map[string]struct{ stream, want string }{
		"of every size":                  {all, allAnswers},
		"10 in order":                    {ten, tenAnswers},
		"of bytes that are no text":      {fromClient(0x89, longest), fromServer(0x8A, longest)},
		"between fragments":              {inFragments, inFragmentsAnswer},
		"pong that nobody has asked for": {fromClient(0x8A, "hi"), ""},
		"pong, then ping":                {fromClient(0x8A, "hi") + fromClient(0x89, "ho"), fromServer(0x8A, "ho")},
		"between messages": {
			fromClient(0x81, "a") + fromClient(0x89, "p") + fromClient(0x81, "b"),
			fromServer(0x81, "a") + fromServer(0x8A, "p") + fromServer(0x81, "b"),
		},
	}
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		for name, tt := range tests {
			for way, sends := range map[string]iter.Seq[string]{
				"in one write":     once(tt.stream + bye()),
				"a byte at a time": piecesOf(tt.stream+bye(), 1+len(tt.stream)/500),
			} {
				t.Run(name+", "+way, func(t *testing.T) {
					exchange{sends, tt.want + goodbye(1000), 1000}.check(t, s)
				})
			}
		}
	})
}

// What comes behind a close frame, or a mistake, is not looked at. Nor does it reset the
// connection, so that the close frame always arrives.
func TestNothingIsHeardBehindTheEnd(t *testing.T) {
	ends := map[string]struct {
		stream string
		code   models.CloseCode
	}{
		"close":        {bye(), 1000},
		"mistake":      {fromClient(0x83, ""), 1002},
		"no text":      {fromClient(0x81, "\xff"), 1007},
		"large frame":  {claim(0x82, 1<<62) + "\x00\x00\x00\x00", 1009},
		"wrong reason": {fromClient(0x88, closing(1005, "")), 1002},
	}
	babble := strings.Repeat(fromClient(0x82, strings.Repeat("x", 1000)), 1000)
	behind := map[string]iter.Seq[string]{
		"a message":         once(fromClient(0x81, "late")),
		"a ping":            once(fromClient(0x89, "late")),
		"a second close":    once(bye()),
		"another mistake":   once("\xff\xff\xff\xff"),
		"half a frame":      once(fromClient(0x82, "late")[:7]),
		"a lot of messages": piecesOf(babble, 10_000),
	}
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		for end, e := range ends {
			for what, more := range behind {
				t.Run(what+" behind a "+end, func(t *testing.T) {
					together := slices.Concat([]string{e.stream}, slices.Collect(more))
					exchange{slices.Values(together), goodbye(e.code), e.code}.check(t, s)
					first := slices.Concat([]string{e.stream + together[1]}, together[2:])
					exchange{slices.Values(first), goodbye(e.code), e.code}.check(t, s)
				})
			}
		}
	})
}

// The server says goodbye first: it still hears the peer's own, and nothing else.
func TestServerCloses(t *testing.T) {
	for name, answer := range map[string]string{
		"close":                fromClient(0x88, closing(4501, "")),
		"message, then close":  fromClient(0x81, "late") + bye(),
		"fragment, then close": fromClient(0x01, "late") + bye(),
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, options Options) {
				conn, client := connect(t, options)
				r := read(conn)
				if err := r.writer.write(conn.Format().Close(models.CloseDisconnected)); err != nil {
					t.Fatal(err)
				}
				conn.Close(models.CloseDisconnected)
				sendBytes(t, client, answer)
				heard, err := io.ReadAll(client.NetConn())
				if err != nil {
					t.Error(err)
				}
				compare(t, goodbye(models.CloseDisconnected), string(heard))
				_ = client.Close()
				if got := await(t, r.ended); got != models.CloseNormal {
					t.Errorf("the session ended with %d", got)
				}
				for message := range r.messages {
					t.Errorf("%q was heard", message.payload)
				}
			})
		})
	}
}

// A peer that has nothing more to say, but no close frame either, is gone. What it was
// told before, it hears.
func TestHalfClose(t *testing.T) {
	tests := map[string]struct {
		stream, want string
		reason       models.CloseCode
	}{
		"at once":              {"", "", models.CloseAbnormal},
		"behind a message":     {fromClient(0x81, "a"), fromServer(0x81, "a"), models.CloseAbnormal},
		"within a header":      {fromClient(0x81, "a") + "\x81", fromServer(0x81, "a"), models.CloseAbnormal},
		"within a frame":       {fromClient(0x82, "hello")[:8], "", models.CloseAbnormal},
		"between fragments":    {fromClient(0x01, "hello"), "", models.CloseAbnormal},
		"behind a close frame": {fromClient(0x81, "a") + bye(), fromServer(0x81, "a") + goodbye(1000), 1000},
		"behind a mistake":     {"\x00\x00", goodbye(1002), 1002},
	}
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				for _, first := range []bool{true, false} {
					var p *peer
					if first {
						p = s.meet(t, tt.stream)
					} else {
						p = s.meet(t, "")
						p.send(tt.stream)
					}
					if err := p.CloseWrite(); err != nil {
						t.Fatal(err)
					}
					compare(t, tt.want, p.hear())
					p.leave(tt.reason)
				}
			})
		}
	})
}

// A peer that says nothing behind its handshake, or not all of something, is told so.
func TestSilentPeer(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		options.Silence = 50 * time.Millisecond
		s := start(t, options)
		for name, tt := range map[string]struct{ stream, want string }{
			"nothing":             {"", ""},
			"half a header":       {"\x82", ""},
			"half a frame":        {fromClient(0x82, "hello")[:8], ""},
			"half a message":      {fromClient(0x01, "hello"), ""},
			"half a ping":         {fromClient(0x89, "hello")[:8], ""},
			"message and nothing": {fromClient(0x82, "hello"), fromServer(0x82, "hello")},
		} {
			t.Run(name, func(t *testing.T) {
				p := s.meet(t, tt.stream)
				if diff := cmp.Diff(tt.want+goodbye(models.ClosePingTimeout), p.hear()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				p.leave(models.ClosePingTimeout)
			})
		}
	})
}
