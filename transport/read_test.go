package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	fasthttpws "github.com/fasthttp/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/models"
)

// masked is a key that changes nothing.
const masked = "\x00\x00\x00\x00"

func TestReadEndsWithTheReason(t *testing.T) {
	send := func(bytes string) func(*testing.T, *websocket.Conn) {
		return func(t *testing.T, client *websocket.Conn) { sendBytes(t, client, bytes) }
	}
	leave := func(_ *testing.T, client *websocket.Conn) { _ = client.Close() }
	tests := map[string]struct {
		do   func(*testing.T, *websocket.Conn)
		want models.CloseCode
	}{
		"goodbye":                    {send("\x88\x82" + masked + "\x03\xe8"), models.CloseNormal},
		"page was left":              {send("\x88\x82" + masked + "\x03\xe9"), models.CloseNormal},
		"goodbye without a code":     {send("\x88\x80" + masked), models.CloseNormal},
		"goodbye with a reason":      {send("\x88\x85" + masked + "\x0f\xa0bye"), models.CloseNormal},
		"leaves without a word":      {leave, models.CloseAbnormal},
		"leaves in a header":         {func(t *testing.T, c *websocket.Conn) { sendBytes(t, c, "\x81"); leave(t, c) }, models.CloseAbnormal},
		"leaves in a frame":          {func(t *testing.T, c *websocket.Conn) { sendBytes(t, c, "\x81\x85"+masked+"he"); leave(t, c) }, models.CloseAbnormal},
		"leaves between fragments":   {func(t *testing.T, c *websocket.Conn) { sendBytes(t, c, "\x01\x82"+masked+"he"); leave(t, c) }, models.CloseAbnormal},
		"vanishes":                   {vanish, models.CloseAbnormal},
		"vanishes in a frame":        {func(t *testing.T, c *websocket.Conn) { sendBytes(t, c, "\x81\x85"+masked+"he"); vanish(t, c) }, models.CloseAbnormal},
		"frame too big":              {send("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01" + masked), models.CloseTooBig},
		"fragments too big":          {send("\x01\xfe\xff\xff" + masked + strings.Repeat("a", 65535) + "\x80\x82" + masked + "aa"), models.CloseTooBig},
		"invalid UTF-8":              {send("\x81\x81" + masked + "\xff"), models.CloseInvalidUTF8},
		"invalid UTF-8 in fragments": {send("\x01\x81" + masked + "\xc3\x80\x81" + masked + "\xc3"), models.CloseInvalidUTF8},
		"cut UTF-8":                  {send("\x81\x82" + masked + "\xe2\x82"), models.CloseInvalidUTF8},
		"unmasked":                   {send("\x81\x02{}"), models.CloseProtocolError},
		"reserved bit":               {send("\xc1\x80" + masked), models.CloseProtocolError},
		"reserved opcode":            {send("\x83\x80" + masked), models.CloseProtocolError},
		"reserved control opcode":    {send("\x8f\x80" + masked), models.CloseProtocolError},
		"fragmented control frame":   {send("\x09\x80" + masked), models.CloseProtocolError},
		"long control frame":         {send("\x89\xfe\x00\x7e" + masked), models.CloseProtocolError},
		"continuation of nothing":    {send("\x80\x80" + masked), models.CloseProtocolError},
		"text within text":           {send("\x01\x80" + masked + "\x81\x80" + masked), models.CloseProtocolError},
		"code that nobody may send":  {send("\x88\x82" + masked + "\x03\xee"), models.CloseProtocolError},
		"code out of range":          {send("\x88\x82" + masked + "\x00\x01"), models.CloseProtocolError},
		"reason that is no UTF-8":    {send("\x88\x83" + masked + "\x03\xe8\xff"), models.CloseProtocolError},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			_, ended := read(conn)
			tt.do(t, client)
			if got := await(t, ended); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		options := patient()
		options.Silence = 20 * time.Millisecond
		conn, _ := connect(t, options)
		_, ended := read(conn)
		if got := await(t, ended); got != models.ClosePingTimeout {
			t.Errorf("%d", got)
		}
	})
	t.Run("silent in a frame", func(t *testing.T) {
		options := patient()
		options.Silence = 20 * time.Millisecond
		conn, client := connect(t, options)
		sendBytes(t, client, "\x81\x85"+masked+"he")
		_, ended := read(conn)
		if got := await(t, ended); got != models.ClosePingTimeout {
			t.Errorf("%d", got)
		}
	})
}

func TestCloseCode(t *testing.T) {
	tests := map[string]struct {
		err  error
		want models.CloseCode
	}{
		"close frame":                  {&fasthttpws.CloseError{Code: 1000}, models.CloseNormal},
		"close frame without a code":   {&fasthttpws.CloseError{Code: 1005}, models.CloseNormal},
		"end of the stream in a frame": {&fasthttpws.CloseError{Code: 1006}, models.CloseAbnormal},
		"end of the stream":            {io.EOF, models.CloseAbnormal},
		"reset":                        {&net.OpError{Op: "read", Err: errors.New("reset")}, models.CloseAbnormal},
		"closed by ourselves":          {net.ErrClosed, models.CloseAbnormal},
		"deadline":                     {fmt.Errorf("read: %w", os.ErrDeadlineExceeded), models.ClosePingTimeout},
		"limit":                        {fasthttpws.ErrReadLimit, models.CloseTooBig},
		"anything else":                {errors.New("websocket: bad opcode"), models.CloseProtocolError},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := closeCode(tt.err); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestReadMessages(t *testing.T) {
	conn, client := connect(t, patient())
	messages, ended := read(conn)
	largest := strings.Repeat("a", 64<<10)
	sendBytes(t, client, "\x81\x85"+masked+"hello"+
		"\x81\x80"+masked+ // empty
		"\x82\x82"+masked+"\xff\x00"+
		"\x01\x81"+masked+"\xc3"+"\x89\x80"+masked+"\x80\x81"+masked+"\xbc"+ // one letter and a ping between its bytes
		"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00"+masked+largest+
		"\x88\x80"+masked)
	for _, want := range []received{{"hello", false}, {"", false}, {"\xff\x00", true}, {"ü", false}, {largest, false}} {
		if got := await(t, messages); got != want {
			t.Errorf("%.20q, want %.20q", got.payload, want.payload)
		}
	}
	if got := await(t, ended); got != models.CloseNormal {
		t.Errorf("%d", got)
	}
}

func TestPingIsAnswered(t *testing.T) {
	conn, client := connect(t, patient())
	_, ended := read(conn)
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
	await(t, ended)
	await(t, reading)
}

// clock tells of the deadlines that are set on a socket.
type clock struct {
	net.Conn
	deadlines chan time.Time
}

func (c clock) SetReadDeadline(deadline time.Time) error {
	c.deadlines <- deadline
	return c.Conn.SetReadDeadline(deadline)
}

// Whatever the peer sends gives it more time, until it is told to go.
func TestWhoeverIsHeardHasMoreTime(t *testing.T) {
	conn, client := connect(t, patient())
	ticks := clock{conn.socket, make(chan time.Time, 100)}
	conn.socket = ticks
	messages, ended := read(conn)
	last := await(t, ticks.deadlines)
	for name, bytes := range map[string]string{
		"message": "\x82\x80" + masked,
		"ping":    "\x89\x80" + masked,
		"pong":    "\x8a\x80" + masked,
	} {
		sendBytes(t, client, bytes)
		next := await(t, ticks.deadlines)
		if next.Before(last) {
			t.Errorf("a %s brings the deadline from %v to %v", name, last, next)
		}
		last = next
	}
	await(t, messages)
	conn.Close(models.CloseGoingAway)
	sendBytes(t, client, "\x82\x80"+masked+"\x8a\x80"+masked+"\x88\x80"+masked)
	if got := await(t, ended); got != models.CloseNormal {
		t.Errorf("%d", got)
	}
	if len(ticks.deadlines) > 0 {
		t.Error("it had more time after the close")
	}
}

func TestNothingIsHeardAfterClose(t *testing.T) {
	conn, client := connect(t, patient())
	messages, ended := read(conn)
	sendBytes(t, client, "\x81\x83"+masked+"one")
	if got := await(t, messages); got.payload != "one" {
		t.Errorf("%q", got.payload)
	}
	conn.Close(models.CloseDisconnected)
	sendBytes(t, client, "\x81\x83"+masked+"two"+"\x88\x80"+masked)
	await(t, ended)
	for message := range messages {
		t.Errorf("%q was heard", message.payload)
	}
}
