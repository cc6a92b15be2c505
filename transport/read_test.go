package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/models"
)

// masked is a key that changes nothing.
const masked = "\x00\x00\x00\x00"

func TestReadingEndsWithTheReason(t *testing.T) {
	send := func(bytes string) func(*testing.T, *websocket.Conn) {
		return func(t *testing.T, client *websocket.Conn) { sendBytes(t, client, bytes) }
	}
	leave := func(_ *testing.T, client *websocket.Conn) { _ = client.Close() }
	sendAndLeave := func(bytes string) func(*testing.T, *websocket.Conn) {
		return func(t *testing.T, client *websocket.Conn) { sendBytes(t, client, bytes); leave(t, client) }
	}
	tests := map[string]struct {
		do   func(*testing.T, *websocket.Conn)
		want models.CloseCode
	}{
		"goodbye":                  {send("\x88\x82" + masked + "\x03\xe8"), models.CloseNormal},
		"page was left":            {send("\x88\x82" + masked + "\x03\xe9"), models.CloseNormal},
		"goodbye without a code":   {send("\x88\x80" + masked), models.CloseNormal},
		"goodbye with a reason":    {send("\x88\x85" + masked + "\x0f\xa0bye"), models.CloseNormal},
		"goodbye and leaves":       {sendAndLeave("\x88\x80" + masked), models.CloseNormal},
		"leaves without a word":    {leave, models.CloseAbnormal},
		"leaves in a header":       {sendAndLeave("\x81"), models.CloseAbnormal},
		"leaves in a frame":        {sendAndLeave("\x81\x85" + masked + "he"), models.CloseAbnormal},
		"leaves between fragments": {sendAndLeave("\x01\x82" + masked + "he"), models.CloseAbnormal},
		"vanishes":                 {vanish, models.CloseAbnormal},
		"frame too big":            {send("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01" + masked), models.CloseTooBig},
		"invalid UTF-8":            {send("\x81\x81" + masked + "\xff"), models.CloseInvalidUTF8},
		"unmasked":                 {send("\x81\x02{}"), models.CloseProtocolError},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, options Options) {
				conn, client := connect(t, options)
				r := read(conn)
				tt.do(t, client)
				if got := await(t, r.ended); got != tt.want {
					t.Errorf("%d, want %d", got, tt.want)
				}
			})
		})
	}
	for name, sent := range map[string]string{
		"silent":             "",
		"silent in a frame":  "\x81\x85" + masked + "he",
		"silent after frame": "\x81\x82" + masked + "he",
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, options Options) {
				options.Silence = 20 * time.Millisecond
				conn, client := connect(t, options)
				r := read(conn)
				sendBytes(t, client, sent)
				if got := await(t, r.ended); got != models.ClosePingTimeout {
					t.Errorf("%d", got)
				}
				// The peer can still be told.
				if _, _, err := client.ReadMessage(); err == nil || closeCodeOf(err) != models.CloseAbnormal {
					t.Errorf("%v, want the end without a close frame", err)
				}
			})
		})
	}
}

func TestReadMessages(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		r := read(conn)
		largest := strings.Repeat("a", 64<<10)
		sendBytes(t, client, "\x81\x85"+masked+"hello"+
			"\x81\x80"+masked+ // empty
			"\x82\x82"+masked+"\xff\x00"+
			"\x01\x81"+masked+"\xc3"+"\x89\x80"+masked+"\x80\x81"+masked+"\xbc"+ // one letter and a ping between its bytes
			"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00"+masked+largest+
			"\x88\x80"+masked)
		for _, want := range []received{{"hello", false}, {"", false}, {"\xff\x00", true}, {"ü", false}, {largest, false}} {
			if got := await(t, r.messages); got != want {
				t.Errorf("%.20q, want %.20q", got.payload, want.payload)
			}
		}
		if got := await(t, r.ended); got != models.CloseNormal {
			t.Errorf("%d", got)
		}
	})
}

// Between two messages the connection rests; none is lost at the moment when it does.
func TestReadsAgainAndAgain(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		r := read(conn)
		for range 5000 {
			sendBytes(t, client, "\x81\x82"+masked+"hi")
			if got := await(t, r.messages); got.payload != "hi" {
				t.Fatalf("%q", got.payload)
			}
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		r := read(conn)
		payloads := []string{"", "hi", strings.Repeat("p", 125), "\x00\xff"}
		ponged := make(chan string, len(payloads))
		client.SetPongHandler(func(payload string) error {
			ponged <- payload
			return nil
		})
		for _, payload := range payloads {
			if err := client.WriteControl(websocket.PingMessage, []byte(payload), time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
		}
		// A pong without a ping is no mistake and needs no answer.
		sendBytes(t, client, "\x8a\x82"+masked+"hi")
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			_, _, _ = client.ReadMessage()
		}()
		for _, want := range payloads {
			if diff := cmp.Diff(want, await(t, ponged)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		_ = client.Close()
		await(t, r.ended)
		await(t, reading)
	})
}

// Whatever the peer sends gives it more time, and what it is answered with as well.
func TestWhoeverIsHeardHasMoreTime(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		r := newReader(conn)
		r.messages = make(chan received) // Receive waits until the test takes it
		conn.Serve(r)
		heard := func(what, bytes string) {
			conn.carrier.wheel.advance()
			sendBytes(t, client, bytes)
			eventually(t, what, func() bool { return conn.heard.Load() == conn.carrier.wheel.now.Load() })
		}
		heard("part of a frame is heard", "\x82")
		sendBytes(t, client, "\x80"+masked)
		eventually(t, "a message is answered", func() bool { return conn.heard.Load() == handling })
		await(t, r.messages)
		heard("a pong is heard", "\x8a\x80"+masked)
	})
}

func TestNothingIsHeardAfterClose(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		r := read(conn)
		sendBytes(t, client, "\x81\x83"+masked+"one")
		if got := await(t, r.messages); got.payload != "one" {
			t.Errorf("%q", got.payload)
		}
		conn.Close(models.CloseDisconnected)
		sendBytes(t, client, "\x81\x83"+masked+"two"+"\x88\x80"+masked)
		await(t, r.ended)
		for message := range r.messages {
			t.Errorf("%q was heard", message.payload)
		}
	})
}

// fragile is a Session that panics at a message.
type fragile struct{ *reader }

func (fragile) Receive([]byte, bool) { panic("a mistake") }

func TestPanicEndsOneConnection(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		conn, client := s.connect()
		other, otherClient := s.connect()
		r, healthy := newReader(conn), read(other)
		conn.Serve(fragile{r})
		sendBytes(t, client, "\x81\x82"+masked+"hi")
		if code := await(t, r.ended); code != models.CloseInternal {
			t.Errorf("%d", code)
		}
		sendBytes(t, otherClient, "\x81\x82"+masked+"hi")
		await(t, healthy.messages)
	})
}
