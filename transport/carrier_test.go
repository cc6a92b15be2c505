package transport

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestModes(t *testing.T) {
	for mode, copies := range map[Mode]bool{ModeAuto: hasEpoll, ModeEpoll: true, ModeGoroutine: false} {
		t.Run(string(mode), func(t *testing.T) {
			carrier, err := New(patient(mode))
			if mode == ModeEpoll && !hasEpoll {
				if err == nil {
					t.Error("epoll where there is none")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if carrier.CopiesDescriptors() != copies {
				t.Errorf("copies descriptors: %v", !copies)
			}
			if err := carrier.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// handshake is what a client sends to be upgraded.
const handshake = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// What comes in one segment with the handshake is read with it, by HTTP.
func TestFirstFramesComeWithTheHandshake(t *testing.T) {
	for name, frames := range map[string]string{
		"one frame":         "\x81\x83" + masked + "one\x81\x83" + masked + "two",
		"a frame that ends": strings.Repeat("\x81\x83"+masked+"one", 100) + "\x81\x83" + masked + "two",
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, options Options) {
				s := start(t, options)
				client, err := net.Dial("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = client.Close() }()
				cut := len(handshake) + len(frames) - 2 // the end comes later
				if _, err := client.Write([]byte((handshake + frames)[:cut])); err != nil {
					t.Fatal(err)
				}
				r := read(<-s.accepted)
				for range strings.Count(frames, "one") {
					if got := await(t, r.messages); got.payload != "one" {
						t.Fatalf("%q", got.payload)
					}
				}
				if _, err := client.Write([]byte((handshake + frames)[cut:])); err != nil {
					t.Fatal(err)
				}
				if got := await(t, r.messages); got.payload != "two" {
					t.Fatalf("%q", got.payload)
				}
			})
		})
	}
}

// Connections come, talk and vanish, many at a time, and their descriptors are used again:
// none gets what is another's.
func TestDescriptorsAreUsedAgain(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		var serving sync.WaitGroup
		stop := make(chan struct{})
		serving.Go(func() {
			for {
				select {
				case conn := <-s.accepted:
					conn.Serve(&echo{conn, make(chan struct{}, 1), make(chan models.CloseCode, 1)})
				case <-stop:
					return
				}
			}
		})
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for j := range 50 {
					if err := talk(s.address, i*1000+j, j%3); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		clients.Wait()
		close(stop)
		serving.Wait()
		s.awaitEmpty()
	})
}

// talk connects, has its number echoed some times, and leaves in one of three ways.
func talk(address string, number, way int) error {
	client, response, err := websocket.DefaultDialer.Dial("ws://"+address, nil)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	for range 3 {
		if err := client.WriteJSON(number); err != nil {
			return err
		}
		var got int
		if err := client.ReadJSON(&got); err != nil {
			return err
		}
		if got != number {
			return errors.New("a message of somebody else")
		}
	}
	switch way {
	case 0:
		_ = client.NetConn().(*net.TCPConn).SetLinger(0)
	case 1:
		_ = client.WriteMessage(websocket.CloseMessage, nil)
	}
	return client.Close()
}

func TestCloseWaitsForTheConnections(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		conn, client := s.connect()
		r := read(conn)
		closed := make(chan error, 1)
		go func() { closed <- s.close(t.Context()) }()
		eventually(t, "closing", func() bool {
			s.carrier.mu.Lock()
			defer s.carrier.mu.Unlock()
			return s.carrier.closing
		})
		if s.carrier.enter(network{}) == nil {
			t.Error("a connection is let in")
		}
		select {
		case err := <-closed:
			t.Fatal("closed before the connection ended: ", err)
		default:
		}
		_ = client.Close()
		await(t, r.ended)
		if err := await(t, closed); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseCutsInTheEnd(t *testing.T) {
	inEachServer(t, patience, func(t *testing.T, s *server) {
		conn, client := s.connect()
		r := read(conn)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connections were cut") {
			t.Error(err)
		}
		if code := await(t, r.ended); code != models.CloseAbnormal {
			t.Errorf("%d", code)
		}
		if _, _, err := client.ReadMessage(); closeCodeOf(err) != models.CloseAbnormal {
			t.Errorf("the client reads on: %v", err)
		}
	})
}
