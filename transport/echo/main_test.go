package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"fanfare/models"
)

// patience is when a test gives up. No test waits that long if all is well.
const patience = time.Minute

// size is that of the messages, in bytes.
const size = 1 << 20

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps its clock for good, and its cleaner notices within ten seconds
		// that the server is gone.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// inEachMode runs a test against a server of its own, in the mode of this system and in
// that of all systems. The server ends when the test stops it, or is over.
func inEachMode(t *testing.T, test func(t *testing.T, url string, stop context.CancelFunc)) {
	t.Helper()
	for _, mode := range []string{"auto", "goroutine"} {
		t.Run(mode, func(t *testing.T) {
			ctx, stop := context.WithCancel(context.Background())
			output, input := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, []string{"-address", "127.0.0.1:0", "-mode", mode}, input, t.Output()) }()
			line, err := bufio.NewReader(output).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			test(t, strings.TrimPrefix(strings.TrimSpace(line), "listening on "), stop)
		})
	}
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	client, response, err := websocket.DefaultDialer.DialContext(t.Context(), url+"/any/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = client.Close() })
	if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return client
}

// numbered is a message that says the how manyth it is, all over.
func numbered(i int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint32(nil, uint32(i)), size/4) //nolint:gosec // a small number
}

// hear reads numbered messages.
func hear(t *testing.T, client *websocket.Conn, count int) {
	t.Helper()
	for i := range count {
		if kind, payload, err := client.ReadMessage(); err != nil || kind != websocket.BinaryMessage || !bytes.Equal(payload, numbered(i)) {
			t.Fatalf("message %d: type %d, %d bytes, %v", i, kind, len(payload), err)
		}
	}
}

func TestEcho(t *testing.T) {
	const count = 20
	inEachMode(t, func(t *testing.T, url string, _ context.CancelFunc) {
		client := dial(t, url)
		for _, text := range []string{"", "a", "ü€𝄞", strings.Repeat("a", 70_000)} {
			if err := client.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if kind, payload, err := client.ReadMessage(); err != nil || kind != websocket.TextMessage || string(payload) != text {
				t.Errorf("type %d, %.20q, %v", kind, payload, err)
			}
		}
		sent := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < count && err == nil; i++ {
				err = client.WriteMessage(websocket.BinaryMessage, numbered(i))
			}
			sent <- err
		}()
		hear(t, client, count)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		if err := client.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(patience)); err != nil {
			t.Error(err)
		}
		if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("it ends with %v", err)
		}
	})
}

// A peer that does not read cannot send for long, so it costs what the kernel holds and a
// message. When it reads, all of it is there.
func TestPeerThatDoesNotRead(t *testing.T) {
	const count = 32
	inEachMode(t, func(t *testing.T, url string, _ context.CancelFunc) {
		client := dial(t, url)
		before := heap()
		sent, rest := 0, []byte(nil)
		for isTaken := true; isTaken; sent++ {
			if sent == count {
				t.Fatal("everything was taken, and nobody has read any of it")
			}
			rest, isTaken = push(t, client.NetConn(), frame(sent))
		}
		t.Logf("%d messages were taken", sent)
		if more := heap() - before; more > 4*size {
			t.Errorf("%d bytes of memory for messages of %d", more, size)
		}
		done := make(chan error, 1)
		go func() {
			_, err := client.NetConn().Write(rest)
			for i := sent; i < count && err == nil; i++ {
				_, err = client.NetConn().Write(frame(i))
			}
			done <- err
		}()
		hear(t, client, count)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func frame(i int) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(numbered(i))))
}

// push writes until all is taken, or nothing has been for a while. On a slow machine that
// can be too early, which does no harm.
func push(t *testing.T, conn net.Conn, b []byte) (rest []byte, isTaken bool) {
	t.Helper()
	defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	for len(b) > 0 {
		if err := conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Write(b)
		if b = b[n:]; n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return b, false
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	return nil, true
}

// heap tells how much memory is in use, in bytes.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc) //nolint:gosec // not that much
}

// At the end every peer gets 1001, and those that do not take it do not hold it up.
func TestEnd(t *testing.T) {
	inEachMode(t, func(t *testing.T, url string, stop context.CancelFunc) {
		clients := []*websocket.Conn{dial(t, url), dial(t, url), dial(t, url)}
		deaf := dial(t, url)
		for i := 0; ; i++ {
			if _, isTaken := push(t, deaf.NetConn(), frame(i)); !isTaken {
				break
			}
		}
		stop()
		for i, client := range clients {
			if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, int(models.CloseGoingAway)) {
				t.Errorf("client %d: %v", i, err)
			}
		}
	})
}

func TestArguments(t *testing.T) {
	for name, arguments := range map[string][]string{
		"unknown mode":    {"-mode", "threads"},
		"no address":      {"-address", "nowhere"},
		"unknown flag":    {"-port", "1"},
		"asking for help": {"-help"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), arguments, io.Discard, io.Discard); err == nil {
				t.Error("it serves")
			}
		})
	}
}
