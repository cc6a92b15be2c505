package transport

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"fanfare/models"
)

// listen gives both ends of a connection that goes one way; ours is not served yet. What
// comes first is sent in one write with the request.
func (s *server) listen(t *testing.T, first string) (*Conn, *peer) {
	t.Helper()
	p := s.dial(t)
	p.send("GET /listen HTTP/1.1\r\nHost: localhost\r\n\r\n" + first)
	return await(t, s.accepted), p
}

// What the peer says after its request is nothing to anybody, and when it says no more,
// the session is over.
func TestOneWayHearsNothing(t *testing.T) {
	inEachServer(t, patience, func(t *testing.T, s *server) {
		conn, p := s.listen(t, fromClient(0x81, "hi"))
		r := read(conn)
		p.send("GET / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 1<<20))
		if err := r.writer.write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = p.CloseWrite()
		compare(t, "hello", p.hear())
		if code := await(t, r.ended); code != models.CloseNormal {
			t.Errorf("%d", code)
		}
		for message := range r.messages {
			t.Errorf("%q was heard", message.payload)
		}
	})
}

func TestOneWayEndsWithTheReason(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(conn *Conn, p *peer)
		want models.CloseCode
	}{
		"hangs up":         {func(_ *Conn, p *peer) { _ = p.Close() }, models.CloseNormal},
		"says no more":     {func(_ *Conn, p *peer) { _ = p.CloseWrite() }, models.CloseNormal},
		"vanishes":         {func(_ *Conn, p *peer) { _ = p.tcp.SetLinger(0); _ = p.tcp.Close() }, models.CloseAbnormal},
		"is told to go":    {func(conn *Conn, _ *peer) { conn.Close(models.CloseDisconnected) }, models.CloseDisconnected},
		"cannot be served": {func(conn *Conn, _ *peer) { conn.Close(models.CloseAbnormal) }, models.CloseAbnormal},
	} {
		t.Run(name, func(t *testing.T) {
			inEachServer(t, patience, func(t *testing.T, s *server) {
				conn, p := s.listen(t, "")
				r := read(conn)
				tt.do(conn, p)
				if code := await(t, r.ended); code != tt.want {
					t.Errorf("%d, want %d", code, tt.want)
				}
				_ = p.Close()
				s.awaitEmpty()
			})
		})
	}
}

// The peer answers no close frame: as soon as it has all that it is due, it sees the end.
func TestOneWayEndsBehindWhatIsDue(t *testing.T) {
	for name, size := range map[string]int{"nothing": 0, "a little": 100, "more than the kernel takes at once": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			inEachServer(t, patience, func(t *testing.T, s *server) {
				conn, p := s.listen(t, "")
				session := chatty{
					writer:  newWriter(conn),
					due:     bytes.Repeat([]byte("x"), size),
					written: make(chan error, 1),
				}
				conn.Serve(session)
				conn.Close(models.CloseGoingAway)
				compare(t, string(session.due), p.hear())
				if err := await(t, session.written); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A connection may be refused before anybody serves it.
func TestOneWayClosedBeforeItIsServed(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, p := start(t, options).listen(t, "")
		if _, err := conn.Write([]byte("sorry"), func() {}); err != nil {
			t.Fatal(err)
		}
		conn.Close(models.CloseGoingAway)
		r := read(conn)
		if code := await(t, r.ended); code != models.CloseGoingAway {
			t.Errorf("%d", code)
		}
		compare(t, "sorry", p.hear())
	})
}

// A peer that was closed and does not leave costs the linger time and no more.
func TestOneWayLingerIsBounded(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, conn *Conn, p *peer){
		"peer does nothing": func(_ *testing.T, conn *Conn, _ *peer) {
			read(conn)
			conn.Close(models.CloseGoingAway)
		},
		"peer never reads": func(t *testing.T, conn *Conn, _ *peer) {
			r := newReader(conn)
			r.finish = make(chan struct{})
			conn.Serve(r)
			w := newWriter(conn)
			w.fill(t, numbered(0))
			conn.Close(models.CloseSlowConsumer)
			await(t, r.ended)
			for w.write(numbered(0)) == nil { // until there is room no more
			}
			close(r.finish)
		},
		"peer goes on sending": func(t *testing.T, conn *Conn, p *peer) {
			read(conn)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for {
					if _, err := io.WriteString(p, "more"); err != nil {
						return
					}
				}
			}()
			conn.Close(models.CloseDisconnected)
			await(t, sent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEachServer(t, 50*time.Millisecond, func(t *testing.T, s *server) {
				conn, p := s.listen(t, "")
				test(t, conn, p)
				s.awaitEmpty()
			})
		})
	}
}

// Who has nothing to say may say nothing for as long as it likes.
func TestOneWayIsNeverSilent(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		conn, p := start(t, options).listen(t, "")
		r := read(conn)
		for range 10 * conn.carrier.wheel.silence {
			conn.carrier.wheel.advance()
		}
		if err := r.writer.write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		conn.Close(models.CloseGoingAway)
		compare(t, "hello", p.hear())
		if code := await(t, r.ended); code != models.CloseGoingAway {
			t.Errorf("%d", code)
		}
	})
}

func TestCloseCutsOneWay(t *testing.T) {
	inEachServer(t, patience, func(t *testing.T, s *server) {
		conn, p := s.listen(t, "")
		r := read(conn)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.close(ctx); err == nil || !strings.Contains(err.Error(), "1 connections were cut") {
			t.Error(err)
		}
		await(t, r.ended)
		compare(t, "", p.hear())
	})
}

func TestOneWayIsRefusedAfterClose(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		if err := s.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := s.dial(t)
		client, err := s.carrier.AcceptOneWay(p.tcp, "", SSE{})
		if err == nil {
			t.Errorf("accepted: %v", client)
		}
	})
}
