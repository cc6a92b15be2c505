//go:build linux

package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	gorilla "github.com/gorilla/websocket"

	"fanfare/app"
	"fanfare/models"
)

// TestSlowRequests: hundreds of peers that send nothing, or a byte of a request now and then, are
// all cut off when their time is up. Others are served all the while, and nothing stays.
func TestSlowRequests(t *testing.T) {
	const rounds, peers = 2, 300
	s := startServer(t, func(config *app.Config) {
		config.Server.HeaderTimeout = time.Second
		config.Server.ReadTimeout = time.Second
	})
	subscriber := s.subscribed("good")
	s.insist("good") // whose connection is gone when it returns
	s.receive(subscriber)
	descriptors, goroutines := s.descriptors(), 0
	for round := range rounds {
		cut := s.dripping(peers)
		served := 0
		for isCut := false; !isCut || served < 10; served++ {
			select {
			case <-cut:
				isCut = true
			default:
			}
			id := s.insist("good")
			if f := s.receive(subscriber); f.ID != id {
				t.Fatalf("got %+v, want %s", f, id)
			}
		}
		t.Logf("%d messages meanwhile", served)
		s.await(func() bool { return s.descriptors() <= descriptors })
		// fasthttp keeps the workers of the first round for a while, and the next ones use them.
		if round == 0 {
			goroutines = runtime.NumGoroutine()
		} else {
			s.await(func() bool { return runtime.NumGoroutine() < goroutines+peers/10 })
		}
	}
}

// dripping connects peers that send nothing, or part of a request and then a byte now and then.
// The channel is closed when the server has cut all of them off.
func (s *server) dripping(n int) <-chan struct{} {
	s.t.Helper()
	host := "Host: " + s.address + "\r\n"
	parts := []string{
		"",
		"GET /topics HTTP/1.1\r\n" + host + "X: ",
		"GET /ws HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nX: ",
		"POST /topics/a/publish HTTP/1.1\r\n" + host + "Content-Length: 10000\r\n\r\n",
		"POST /publish HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1000\r\n",
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			s.t.Fatal(err)
		}
		conns[i] = conn
		_, _ = io.WriteString(conn, parts[i%len(parts)])
	}
	var reading sync.WaitGroup
	for _, conn := range conns {
		reading.Go(func() {
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				s.t.Error("a connection is still open")
			}
			_ = conn.Close()
		})
	}
	cut := make(chan struct{})
	go func() {
		reading.Wait()
		close(cut)
	}()
	go func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-cut:
				return
			}
			for i, conn := range conns {
				if parts[i%len(parts)] != "" {
					_, _ = conn.Write([]byte("a"))
				}
			}
		}
	}()
	return cut
}

// flood is somebody who asks for more than there is, from an address of their own, until the test
// ends it. enough is done when it was refused often.
type flood struct {
	*server
	dialer net.Dialer
	ctx    context.Context
	enough sync.WaitGroup
	count  int
}

// often is how many refusals are enough.
const often = 50

// refused counts a refusal.
func (f *flood) refused() {
	if f.count++; f.count == often {
		f.enough.Done()
	}
}

// isOver tells whether the test has ended the flood.
func (f *flood) isOver() bool { return f.ctx.Err() != nil }

// TestFloods: while others publish, subscribe and connect as fast as they can, a client who does
// not gets every message in order, and they are told that they are too fast, or too many.
func TestFloods(t *testing.T) {
	const messages = 100
	s := startServer(t, func(config *app.Config) {
		config.Limits.PublishRate, config.Limits.PublishBurst = 10, 2*messages
		config.Limits.RequestRate, config.Limits.RequestBurst = 20, 4*messages
		config.Limits.ClientsPerAddress = 10
	})
	ctx, stop := context.WithCancel(t.Context())
	var flooding sync.WaitGroup
	floods := make(map[string]*flood)
	for name, run := range map[string]func(*flood){
		"publish over HTTP": (*flood).publishes, "publish over /ws": (*flood).publishFrames,
		"subscribe": (*flood).subscribeFrames, "connect": (*flood).connects,
	} {
		f := &flood{server: s, ctx: ctx}
		f.dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+len(floods)))} //nolint:gosec // it fits
		f.enough.Add(1)
		floods[name] = f
		flooding.Go(func() {
			run(f)
			if f.count < often { // it has failed
				f.enough.Done()
			}
		})
	}
	for _, f := range floods {
		f.enough.Wait()
	}

	subscriber := s.subscribed("good")
	for range messages {
		receipt, problem, err := s.offer("good", "x")
		if err != nil || problem.Code != "" {
			t.Fatalf("publish: %v %+v", err, problem)
		}
		if f := s.receive(subscriber); f.ID != receipt.ID.String() {
			t.Fatalf("got %+v, want %s", f, receipt.ID)
		}
	}
	stop()
	flooding.Wait()
	for name, f := range floods {
		t.Logf("%s: refused %d times", name, f.count)
	}
}

func (f *flood) publishes() {
	transport := &http.Transport{DialContext: f.dialer.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for !f.isOver() {
		response, err := client.Post("http://"+f.address+"/topics/flood/publish", "text/plain", strings.NewReader("x"))
		if err != nil {
			f.t.Error(err)
			return
		}
		var problem models.Problem
		err = json.UnmarshalRead(response.Body, &problem)
		_ = response.Body.Close()
		switch {
		case response.StatusCode == http.StatusOK:
		case err == nil && problem.Code == models.CodeRateLimited && response.Header.Get("Retry-After") != "":
			f.refused()
		default:
			f.t.Errorf("%s %+v: %v", response.Status, problem, err)
		}
	}
}

// dial connects to /ws. The result is nil with the code of a refusal.
func (f *flood) dial() (*gorilla.Conn, models.Code) {
	dialer := gorilla.Dialer{NetDialContext: f.dialer.DialContext}
	conn, response, err := dialer.Dial("ws://"+f.address+"/ws", nil)
	if err == nil {
		_ = response.Body.Close()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		return conn, ""
	}
	var problem models.Problem
	if response == nil || json.UnmarshalRead(response.Body, &problem) != nil {
		f.t.Error(err)
	}
	return nil, problem.Code
}

func (f *flood) connects() {
	for !f.isOver() {
		conn, code := f.dial()
		switch {
		case conn != nil:
			defer conn.Close() //nolint:errcheck // a client more, until the end
		case code == models.CodeTooManyClients:
			f.refused()
		case code != models.CodeRateLimited || f.count == 0:
			f.t.Errorf("refused with %q", code)
			return
		}
	}
}

func (f *flood) publishFrames() {
	f.frames(func(int) string { return `{"action":"publish","topic":"flood","data":"x","ref":1}` })
}

func (f *flood) subscribeFrames() {
	f.frames(func(i int) string { return fmt.Sprintf(`{"action":"subscribe","topic":"flood.%d.>"}`, i) })
}

// frames sends one after the other, without waiting for the answers.
func (f *flood) frames(frame func(i int) string) {
	conn, code := f.dial()
	if conn == nil {
		f.t.Errorf("refused with %q", code)
		return
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for !f.isOver() {
			_, text, err := conn.ReadMessage()
			if err != nil {
				f.t.Error("the connection has ended:", err)
				return
			}
			switch {
			case strings.Contains(string(text), `"code":"rate_limited"`):
				f.refused()
			case strings.Contains(string(text), `"type":"error"`):
				f.t.Errorf("refused with %s", text)
			}
		}
		_ = conn.Close() // what is being sent fails
	})
	for i := 0; ; i++ {
		if conn.WriteMessage(gorilla.TextMessage, []byte(frame(i))) != nil {
			break
		}
	}
	reading.Wait()
}
