package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

// inEachWay runs a test in every mode, with a stream that can only write through its
// goroutine, and with TLS.
func inEachWay(t *testing.T, test func(t *testing.T, conn *Conn, client *websocket.Conn)) {
	t.Helper()
	inEachMode(t, func(t *testing.T, options Options) {
		conn, client := connect(t, options)
		test(t, conn, client)
	})
	t.Run("no direct writes", func(t *testing.T) {
		conn, client := connect(t, patient(ModeGoroutine))
		conn.socket.(*stream).direct = nil
		test(t, conn, client)
	})
	t.Run("TLS", func(t *testing.T) {
		conn, client := startTLS(t, patient(ModeGoroutine)).connect()
		test(t, conn, client)
	})
}

// numbered gives a frame of 64 KiB that says the how manyth it is, all over.
func numbered(i int) []byte {
	word := binary.BigEndian.AppendUint32(nil, uint32(i)) //nolint:gosec // a small number
	return seal(opText, append(make([]byte, maxHeader), bytes.Repeat(word, 16<<10)...))
}

// The peer begins to read only when a write came back short, which therefore must not
// wait for it. Everything arrives, in order.
func TestWriteToAPeerThatReadsLate(t *testing.T) {
	inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
		read(conn)
		w := newWriter(conn)
		const more = 200
		sent, rest := 0, []byte(nil)
		for rest == nil {
			frame := numbered(sent)
			n, err := w.try(frame)
			if err != nil {
				t.Fatal(err)
			}
			sent++
			if n < len(frame) {
				rest = frame[n:]
			}
		}
		written := make(chan error, 1)
		go func() {
			<-w.room
			err := w.write(rest)
			for i := sent; i < sent+more && err == nil; i++ {
				err = w.write(numbered(i))
			}
			written <- err
		}()
		for i := range sent + more {
			_, got, err := client.ReadMessage()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if want := numbered(i); !bytes.Equal(got, want[len(want)-len(got):]) {
				t.Fatalf("frame %d is broken", i)
			}
		}
		if err := await(t, written); err != nil {
			t.Fatal(err)
		}
	})
}

// A large frame that the socket does not take stays where it is shared: only a little of
// it is copied.
func TestWriteCopiesLittle(t *testing.T) {
	inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
		read(conn)
		w := newWriter(conn)
		large := seal(opText, make([]byte, maxHeader+(8<<20)))
		n, err := w.try(large)
		for err == nil && n > 0 {
			if s, ok := conn.socket.(*stream); ok {
				s.mu.Lock()
				if len(s.rest) > maxRest {
					t.Errorf("%d bytes were copied", len(s.rest))
				}
				s.mu.Unlock()
			}
			n, err = w.try(large)
		}
		if err != nil {
			t.Fatal(err)
		}
		vanish(t, client)
		await(t, w.room)
	})
}

// Whoever waits for room hears that the peer is gone.
func TestWriteToAPeerThatVanishes(t *testing.T) {
	inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
		r := newReader(conn)
		r.finish = make(chan struct{})
		conn.Serve(r)
		w := newWriter(conn)
		_, rest := w.fill(t, numbered(0))
		vanish(t, client)
		await(t, w.room)
		err := w.write(rest)
		for err == nil { // what the socket took before the reset was no error
			err = w.write(numbered(0))
		}
		if n, again := w.try(rest); again == nil || n != 0 {
			t.Errorf("after %v: %d bytes, %v", err, n, again)
		}
		close(r.finish)
	})
}

func TestDirectWriter(t *testing.T) {
	t.Run("no socket takes nothing", func(t *testing.T) {
		one, other := net.Pipe()
		defer func() { _, _ = one.Close(), other.Close() }()
		direct := newDirectWriter(one, new(sync.Pool))
		if direct != nil {
			t.Fatal("a pipe has a direct writer")
		}
		if n, err := direct.write([]byte("a")); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("closed socket", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		direct := newDirectWriter(conn, new(sync.Pool))
		if n, err := direct.write(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		_ = conn.Close()
		if n, err := direct.write([]byte("a")); n != 0 || err == nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// What is wrong with a frame of the peer is not answered into the middle of one of ours.
func TestNothingInterleaves(t *testing.T) {
	for name, sent := range map[string]string{
		"unmasked frame": "\x81\x02{}",
		"frame too big":  "\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00",
		"close":          "\x88\x80\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
				r := newReader(conn)
				r.finish = make(chan struct{})
				w := newWriter(conn)
				whole, rest := w.fill(t, numbered(1))
				sendBytes(t, client, sent)
				conn.Serve(r)
				code := await(t, r.ended)
				written := make(chan error, 1)
				go func() {
					defer close(r.finish)
					<-w.room
					err := w.write(rest)
					if err == nil {
						err = w.write(conn.Format().Close(code))
					}
					written <- err
				}()
				for i := range whole + 1 {
					_, got, err := client.ReadMessage()
					if want := numbered(1); err != nil || string(got) != string(want[len(want)-len(got):]) {
						t.Fatalf("frame %d of %d is broken: %v", i, whole+1, err)
					}
				}
				if err := await(t, written); err != nil {
					t.Fatal(err)
				}
				if _, _, err := client.ReadMessage(); closeCodeOf(err) != code {
					t.Errorf("%v, want the close code %d", err, code)
				}
				if more, err := io.ReadAll(client.NetConn()); err != nil || len(more) > 0 {
					t.Errorf("%q comes after the close frame, %v", more, err)
				}
			})
		})
	}
}

// Writing and reading do not wait for each other.
func TestReadsWhileWritesWait(t *testing.T) {
	inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
		newWriter(conn).fill(t, numbered(1))
		r := read(conn)
		sendBytes(t, client, "\x81\x82"+masked+"hi")
		if got := await(t, r.messages); got.payload != "hi" {
			t.Errorf("%q", got.payload)
		}
		vanish(t, client)
		if code := await(t, r.ended); code != models.CloseAbnormal {
			t.Errorf("%d", code)
		}
	})
}
