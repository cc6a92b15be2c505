package transport

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestCloseReachesThePeer(t *testing.T) {
	inEachServer(t, patience, func(t *testing.T, s *server) {
		conn, client := s.connect()
		r := read(conn)
		if err := r.writer.write(conn.Format().Close(models.CloseSlowConsumer)); err != nil {
			t.Fatal(err)
		}
		conn.Close(models.CloseSlowConsumer)
		if _, _, err := client.ReadMessage(); closeCodeOf(err) != models.CloseSlowConsumer {
			t.Errorf("%v", err)
		}
		sendBytes(t, client, "\x88\x82"+masked+"\x0f\xa1")
		if got := await(t, r.ended); got != models.CloseNormal {
			t.Errorf("reading ended with %d", got)
		}
		if n, err := client.NetConn().Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("after the close frame: %d bytes, %v", n, err)
		}
	})
}

// A peer that neither reads nor leaves costs the linger time and no more: the server
// closes without waiting for the client, which leaves only after that.
func TestLingerIsBounded(t *testing.T) {
	cases := map[string]func(t *testing.T, conn *Conn, client *websocket.Conn){
		"peer does nothing": func(t *testing.T, conn *Conn, _ *websocket.Conn) {
			r := read(conn)
			conn.Close(models.CloseGoingAway)
			if code := await(t, r.ended); code != models.CloseAbnormal {
				t.Errorf("%d", code)
			}
		},
		"peer says goodbye and stays": func(t *testing.T, conn *Conn, client *websocket.Conn) {
			r := read(conn)
			sendBytes(t, client, "\x88\x80"+masked)
			if code := await(t, r.ended); code != models.CloseNormal {
				t.Errorf("%d", code)
			}
		},
		"peer never reads": func(t *testing.T, conn *Conn, _ *websocket.Conn) {
			r := newReader(conn)
			r.finish = make(chan struct{})
			defer close(r.finish)
			conn.Serve(r)
			conn.Close(models.CloseSlowConsumer)
			for r.writer.write(numbered(0)) == nil { // until it is cut
			}
			if n, err := r.writer.try([]byte("a")); n != 0 || err == nil {
				t.Errorf("%d bytes written after the linger time, %v", n, err)
			}
			await(t, r.ended)
		},
		"peer goes on sending": func(t *testing.T, conn *Conn, client *websocket.Conn) {
			r := read(conn)
			sending := babble(client)
			await(t, r.messages)
			conn.Close(models.CloseDisconnected)
			for range r.messages { // until reading ends
			}
			await(t, r.ended)
			await(t, sending)
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inEachServer(t, 50*time.Millisecond, func(t *testing.T, s *server) {
				conn, client := s.connect()
				test(t, conn, client)
				s.awaitEmpty()
			})
		})
	}
	t.Run("close twice is no more time", func(t *testing.T) {
		inEachMode(t, func(t *testing.T, options Options) {
			conn, _ := connect(t, options)
			read(conn)
			conn.Close(models.CloseGoingAway)
			was := conn.place()
			conn.carrier.wheel.advance()
			conn.Close(models.CloseGoingAway)
			if is := conn.place(); is != was {
				t.Errorf("the deadline was moved from %+v to %+v", was, is)
			}
		})
	})
}

// place reads where the wheel has the connection.
func (c *Conn) place() timing {
	c.carrier.wheel.mu.Lock()
	defer c.carrier.wheel.mu.Unlock()
	return c.timing
}

// babble sends and sends, until nobody takes it any more.
func babble(client *websocket.Conn) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for client.WriteMessage(websocket.BinaryMessage, make([]byte, 1024)) == nil {
		}
	}()
	return done
}

// chatty is a Session that takes whatever comes. Ended writes what is due, as a client's
// shard does, and tells what came of it.
type chatty struct {
	writer  *writer
	due     []byte
	written chan error
}

func (chatty) Receive([]byte, bool) {}

func (chatty) Reply([]byte) {}

func (c chatty) Ended(models.CloseCode) { c.written <- c.writer.write(c.due) }

// Were the connection closed on what the peer is still sending, the kernel would reset
// it, and what had not arrived by then would be lost.
func TestWhatWasWrittenArrives(t *testing.T) {
	for name, size := range map[string]int{"what the kernel takes at once": 100 << 10, "more than that": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
				payload := bytes.Repeat([]byte("0123456789abcdef"), size/16)
				frame := seal(opText, append(make([]byte, maxHeader), payload...))
				session := chatty{
					writer:  newWriter(conn),
					due:     append(frame, conn.Format().Close(models.CloseNormal)...),
					written: make(chan error, 1),
				}
				conn.Serve(session)
				sendBytes(t, client, "\x88\x80"+masked)
				sending := babble(client)
				if _, got, err := client.ReadMessage(); err != nil || !bytes.Equal(got, payload) {
					t.Errorf("%d bytes of %d, %v", len(got), len(payload), err)
				}
				if _, _, err := client.ReadMessage(); closeCodeOf(err) != models.CloseNormal {
					t.Errorf("%v", err)
				}
				_ = client.Close()
				if err := await(t, session.written); err != nil {
					t.Error(err)
				}
				await(t, sending)
			})
		})
	}
}
