package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// modes are the ways in which bytes reach the socket.
func modes() map[string]func(*WebSocket) {
	return map[string]func(*WebSocket){
		"directly":            func(*WebSocket) {},
		"through a goroutine": func(c *WebSocket) { c.direct = nil },
	}
}

// numbered gives a frame of 64 KiB that says the how manyth it is, all over.
func numbered(i int) []byte {
	word := binary.BigEndian.AppendUint32(nil, uint32(i)) //nolint:gosec // a small number
	return seal(opText, append(make([]byte, maxHeader), bytes.Repeat(word, 16<<10)...))
}

// The peer begins to read only when a write came back short, which therefore must not
// wait for it. Everything arrives, in order, and room is called once for each write that
// came back short.
func TestWriteToAPeerThatReadsLate(t *testing.T) {
	for name, prepare := range modes() {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			prepare(conn)
			w := newWriter(conn)
			const more = 200
			var sent int
			var rest []byte
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
			conn.writer.Wait()
			if w.short == 0 || w.rooms != w.short {
				t.Errorf("room was called %d times for %d short writes", w.rooms, w.short)
			}
		})
	}
}

// A large frame that the socket does not take stays where it is shared: only a little of
// it is copied.
func TestWriteCopiesLittle(t *testing.T) {
	for name, prepare := range modes() {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			prepare(conn)
			w := newWriter(conn)
			large := seal(opText, make([]byte, maxHeader+(8<<20)))
			n, err := w.try(large)
			for err == nil && n > 0 {
				conn.mu.Lock()
				if len(conn.rest) > maxRest {
					t.Errorf("%d bytes were copied", len(conn.rest))
				}
				conn.mu.Unlock()
				n, err = w.try(large)
			}
			if err != nil {
				t.Fatal(err)
			}
			vanish(t, client)
			await(t, w.room)
		})
	}
}

// Whoever waits for room hears that the peer is gone.
func TestWriteToAPeerThatVanishes(t *testing.T) {
	for name, prepare := range modes() {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			prepare(conn)
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
		})
	}
}

func TestDirectWriter(t *testing.T) {
	t.Run("no socket takes nothing", func(t *testing.T) {
		one, other := net.Pipe()
		defer func() { _, _ = one.Close(), other.Close() }()
		direct := newDirectWriter(one)
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
		direct := newDirectWriter(conn)
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
	for name, bytes := range map[string]string{
		"unmasked frame": "\x81\x02{}",
		"frame too big":  "\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00",
		"ping":           "\x89\x80\x00\x00\x00\x00\x81\x02{}",
		"close":          "\x88\x80\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			w := newWriter(conn)
			whole, rest := w.fill(t, numbered(1))
			sendBytes(t, client, bytes)
			code := conn.Read(func([]byte, bool) {}, func([]byte) {})
			written := make(chan error, 1)
			go func() {
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
			_ = conn.socket.(*net.TCPConn).CloseWrite()
			if more, err := io.ReadAll(client.NetConn()); err != nil || len(more) > 0 {
				t.Errorf("%q comes after the close frame, %v", more, err)
			}
		})
	}
}
