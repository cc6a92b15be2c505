package transport

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/models"
)

// The tests of this file hold what goes over the wire to RFC 6455: the peer writes raw
// bytes, and reads raw bytes until the end of the stream. A reset in place of that end
// would be an error.

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
		for _, size := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
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
		t.Run("3 messages of 1 MiB", func(t *testing.T) {
			payload := strings.Repeat("0123456789abcdef", 1<<16)
			sends := slices.Concat(slices.Repeat([]string{fromClient(0x82, payload)}, 3), []string{bye()})
			exchange{slices.Values(sends), strings.Repeat(fromServer(0x82, payload), 3) + goodbye(1000), 1000}.check(t, s)
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
// What it says after all is not looked at, and no reason to reset the connection.
func TestSilentPeer(t *testing.T) {
	late := strings.Repeat(fromClient(0x82, strings.Repeat("x", 1000)), 1000)
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
				heard := p.hear()
				p.send(late)
				compare(t, tt.want+goodbye(models.ClosePingTimeout), heard+p.hear())
				p.leave(models.ClosePingTimeout)
			})
		}
	})
}
