package app_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"fanfare/app"
	"fanfare/models"
	"fanfare/transport"
)

// TestBrokenConnections: 3,000 connections send what is no proper WebSocket, and vanish.
// Meanwhile a subscriber hears all that is published, in order. Nothing is left over.
func TestBrokenConnections(t *testing.T) {
	const connections, atOnce = 1500, 15 // in each mode
	for _, mode := range []transport.Mode{transport.ModeAuto, transport.ModeGoroutine} {
		t.Run(string(mode), func(t *testing.T) {
			s := startServer(t, func(config *app.Config) { config.Transport.Mode = mode })
			seed := newSeed(t)
			listener, publish := s.dial(), s.socketPublisher()
			s.takeStock() // opens what the next one finds open
			before := s.takeStock()

			var breaking, exchanging sync.WaitGroup
			broken := make(chan struct{})
			exchanging.Go(func() { s.exchange(listener, publish, broken) })
			for i := range atOnce {
				random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // a test
				breaking.Go(func() {
					for range connections / atOnce {
						if err := s.breakOne(random); err != nil {
							t.Error(err)
						}
					}
				})
			}
			breaking.Wait()
			close(broken)
			exchanging.Wait()

			after := s.takeStock()
			for end := time.Now().Add(patience); !after.isWithin(before); after = s.takeStock() {
				if time.Now().After(end) {
					t.Fatalf("left over are %+v, there were %+v", after, before)
				}
				runtime.Gosched()
			}
		})
	}
}

// exchange publishes some messages and hears them, again and again, until it is told to
// stop.
func (s *server) exchange(listener foreign, publish func() models.ID, stop <-chan struct{}) {
	const some = 20
	if err := listener.send(`{"action":"subscribe","topic":"busy"}`); err != nil {
		s.t.Error(err)
	}
	s.receive(listener)
	for count := 0; ; count += some {
		select {
		case <-stop:
			s.t.Logf("the subscriber has heard %d messages", count)
			return
		default:
		}
		var ids []models.ID
		for range some {
			ids = append(ids, publish())
		}
		for _, id := range ids {
			if f := s.receive(listener); f.Type != "message" || s.id(f) != id {
				s.t.Errorf("heard %+v, want %v", f, id)
			}
		}
	}
}

// breakOne opens a connection, sends something broken, and ends it in one of the ways
// that there are.
func (s *server) breakOne(random *rand.Rand) error {
	dialed, err := net.Dial("tcp", s.address)
	if err != nil {
		return err
	}
	conn := dialed.(*net.TCPConn)
	defer conn.Close() //nolint:errcheck // all has been read, or nothing matters
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	stream := "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	pieces := []string{stream, ""}
	broken := brokenStream(random)
	cut := random.IntN(len(broken) + 1)
	pieces[random.IntN(2)] += broken[:cut] // with the handshake, or behind it
	for _, piece := range append(pieces, broken[cut:]) {
		if _, err := io.WriteString(conn, piece); err != nil {
			return fmt.Errorf("after %q: %w", broken, err)
		}
	}
	switch random.IntN(4) {
	case 0: // a reset, perhaps before the handshake is answered
		return conn.SetLinger(0)
	case 1: // the end, with or without something that is not read
		return nil
	default:
		if err := conn.CloseWrite(); err != nil {
			return err
		}
		if err := readFrames(conn); err != nil {
			return fmt.Errorf("after %q: %w", broken, err)
		}
		return nil
	}
}

// brokenStream gives a few frames, most of the time with mistakes.
func brokenStream(random *rand.Rand) string {
	var stream bytes.Buffer
	for range 1 + random.IntN(4) {
		all := requests()
		payload := []byte(all[random.IntN(len(all))])
		opcode := []ws.OpCode{
			ws.OpText, ws.OpText, ws.OpText, ws.OpBinary, ws.OpContinuation, ws.OpPing, ws.OpPong, ws.OpClose, 3, 11,
		}[random.IntN(10)]
		if opcode == ws.OpClose {
			payload = binary.BigEndian.AppendUint16(nil, uint16(random.IntN(5001))) //nolint:gosec // small
		}
		frame := ws.NewFrame(opcode, random.IntN(5) > 0, payload)
		if random.IntN(20) == 0 {
			frame.Header.Length = random.Int64() >> random.IntN(63)
		}
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], random.Uint32())
		stream.Write(ws.MustCompileFrame(ws.MaskFrameWith(frame, mask)))
	}
	if random.IntN(4) == 0 {
		return stream.String()
	}
	return mutate(random, stream.String())
}

// readFrames reads to the end of the stream: whole frames of a server, the last perhaps a
// close frame.
func readFrames(conn net.Conn) error {
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil) //nolint:bodyclose // there is none
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(response.Status)
	}
	for isClosed := false; ; {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		header, err := ws.ReadHeader(r)
		if err == nil {
			err = ws.CheckHeader(header, ws.StateClientSide)
		}
		if err != nil {
			return fmt.Errorf("a frame %+v: %w", header, err)
		}
		if isClosed {
			return fmt.Errorf("a frame behind the close frame: %+v", header)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return fmt.Errorf("in a frame %+v: %w", header, err)
		}
		if isClosed = header.OpCode == ws.OpClose; isClosed {
			switch code, _ := ws.ParseCloseFrameData(payload); models.CloseCode(code) {
			case models.CloseNormal, models.CloseProtocolError, models.CloseInvalidUTF8, models.CloseTooBig:
			default:
				return fmt.Errorf("closed with %d", code)
			}
		}
	}
}

// stock is what connections take.
type stock struct{ clients, goroutines, descriptors int }

func (s stock) isWithin(other stock) bool {
	return s.clients <= other.clients && s.goroutines <= other.goroutines && s.descriptors <= other.descriptors
}

// takeStock counts. The goroutines are those that fasthttp does not keep for a while in
// case that there is more to do; descriptors are counted on Linux.
func (s *server) takeStock() (all stock) {
	s.t.Helper()
	var page models.ClientPage
	s.get("/clients?limit=10000", &page)
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if !strings.Contains(stack, "fasthttp.(*workerPool)") {
			all.goroutines++
		}
	}
	descriptors, _ := os.ReadDir("/proc/self/fd")
	all.clients, all.descriptors = len(page.Clients), len(descriptors)
	return all
}
