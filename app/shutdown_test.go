package app_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"fanfare/app"
	"fanfare/models"
)

// TestSIGTERMUnderLoad: every publish that was answered is delivered to everybody, every
// socket gets 1001 after it, and the exit status is 0.
func TestSIGTERMUnderLoad(t *testing.T) {
	const listeners, publishers, enough = 30, 4, 300
	s := startProcess(t)
	heard := make([]map[string]bool, listeners)
	var listening sync.WaitGroup
	for i := range heard {
		client, err := dialCoder(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.send(`{"action":"subscribe","topic":"load.>"}`); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the welcome and the ack
			if _, err := client.receive(); err != nil {
				t.Fatal(err)
			}
		}
		heard[i] = make(map[string]bool)
		listening.Go(func() {
			if err := listen(client, heard[i]); coder.CloseStatus(err) != coder.StatusGoingAway {
				t.Errorf("listener %d: %v", i, err)
			}
		})
	}

	var mu sync.Mutex
	var answered []string
	busy := make(chan struct{})
	var publishing sync.WaitGroup
	for range publishers {
		publishing.Go(func() {
			for {
				receipt, problem, err := s.offer("load.a", "x")
				if problem.Code != "" && problem.Code != models.CodeShuttingDown {
					t.Errorf("publish during the shutdown: %+v", problem)
				}
				if err != nil || problem.Code != "" {
					return
				}
				mu.Lock()
				answered = append(answered, receipt.ID.String())
				if len(answered) == enough {
					close(busy)
				}
				mu.Unlock()
			}
		})
	}
	<-busy
	s.stop()
	if err := <-s.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	publishing.Wait()
	listening.Wait()
	for i, ids := range heard {
		for _, id := range answered {
			if !ids[id] {
				t.Errorf("listener %d did not hear %s, which was answered", i, id)
			}
		}
	}
	t.Logf("%d publishes were answered", len(answered))
}

// listen hears messages until the connection ends.
func listen(client foreign, heard map[string]bool) error {
	for {
		text, err := client.receive()
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		heard[f.ID] = true
	}
}

// TestDraining: during the drain delay the server says that it is not ready, and serves
// everybody all the same, but each HTTP connection once. A second signal ends it at once.
func TestDraining(t *testing.T) {
	s := startProcess(t, "FANFARE_SERVER_DRAIN_DELAY=1h")
	client := s.dial()
	if err := client.send(`{"action":"subscribe","topic":"news"}`); err != nil {
		t.Fatal(err)
	}
	s.receive(client)
	if status := s.status("/readyz"); status != http.StatusOK {
		t.Errorf("ready before the shutdown: %d", status)
	}
	s.stop()
	for s.status("/readyz") != http.StatusServiceUnavailable {
		runtime.Gosched()
	}
	late := s.dial()
	receipt := s.publish("news", "late", "text/plain")
	if f := s.receive(client); s.id(f) != receipt.ID {
		t.Errorf("got %+v, want %v", f, receipt.ID)
	}
	if err := late.send(`{"action":"ping"}`); err != nil || s.receive(late).Type != "pong" {
		t.Errorf("a late client is not served: %v", err)
	}
	response, err := s.client.Get(s.url("http") + "/livez") //nolint:noctx // it has answered before
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("alive while draining: %s, closed behind it: %v", response.Status, response.Close)
	}
	s.stop()
	if err := <-s.stopped; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the second signal: %v", err)
	}
}

// TestShutdownFollowsTheDrainDelay: clients are closed when it is over, not before.
func TestShutdownFollowsTheDrainDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	s := startServer(t, func(config *app.Config) { config.Server.DrainDelay = delay })
	client := s.dial()
	begin := time.Now()
	s.stop()
	if _, err := client.receive(); coder.CloseStatus(err) != coder.StatusGoingAway || time.Since(begin) < delay {
		t.Errorf("after %v the connection ended with %v", time.Since(begin), err)
	}
	if err := <-s.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestSIGTERMWithIdlePeers: peers that say nothing, half of something, or do not listen
// are cut off, and the exit status is 0 all the same.
func TestSIGTERMWithIdlePeers(t *testing.T) {
	s := startProcess(t)
	host := "Host: " + s.address + "\r\n"
	for name, text := range map[string]string{
		"nothing":              "",
		"half a header":        "GET / HTTP/1.1\r\nHo",
		"half a second header": "GET /livez HTTP/1.1\r\n" + host + "\r\nGET /li",
		"half a body":          "POST /topics/a/publish HTTP/1.1\r\n" + host + "Content-Length: 9\r\n\r\nx",
		"half a handshake":     "GET /ws HTTP/1.1\r\n" + host + "Upgrade: websocket\r\n",
		"an answer not read":   strings.Repeat("GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\n"+host+"\r\n", 50),
	} {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	s.dial() // a client that does not read its close frame
	s.stop()
	if err := <-s.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestSIGTERMAtTheStart: who waits for NATS and is told to end does so, and that is no failure.
func TestSIGTERMAtTheStart(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	_ = nobody.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	process := exec.CommandContext(ctx, os.Args[0], "--address", "127.0.0.1:0") //nolint:gosec // itself
	process.Env = append(os.Environ(), asProcess+"=1", "FANFARE_ENGINE=nats", "FANFARE_NATS_URLS=nats://"+address)
	process.Dir = t.TempDir()
	log, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(log); lines.Scan(); {
		t.Log(lines.Text())
		if strings.Contains(lines.Text(), "waiting_for_nats") {
			if err := process.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := process.Wait(); err != nil {
		t.Error(err)
	}
}
