package app_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"fanfare/app"
	"fanfare/models"
)

// TestShutdownUnderLoad: every publish that was answered is delivered to everybody,
// every socket gets 1001 after it, and the server ends without an error.
func TestShutdownUnderLoad(t *testing.T) {
	const listeners, publishers, enough = 30, 4, 300
	s := startServer(t)
	heard := make([]map[string]bool, listeners)
	var listening sync.WaitGroup
	for i := range heard {
		client, err := dialCoder(t.Context(), s.address)
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
				id, err := tryPublish(t, s)
				if err != nil {
					return
				}
				mu.Lock()
				answered = append(answered, id)
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

// tryPublish publishes and gives the id, unless the server is no longer there for it.
func tryPublish(t *testing.T, s *server) (string, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+s.address+"/topics/load.a/publish", strings.NewReader("x"))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("publish during the shutdown: %s", response.Status)
		}
		return "", errors.New(response.Status)
	}
	var receipt models.Receipt
	err = json.UnmarshalRead(response.Body, &receipt)
	return receipt.ID.String(), err
}

// TestDraining: during the drain delay the server says that it is not ready, and serves
// everybody all the same.
func TestDraining(t *testing.T) {
	t.Parallel() // it takes as long as the delay, which a slow machine must be able to use
	s := startServer(t, func(config *app.Config) { config.Server.DrainDelay = 3 * time.Second })
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
	}
	late := s.dial()
	receipt := s.publish("news", "late", "text/plain")
	if f := s.receive(client); s.id(f) != receipt.ID {
		t.Errorf("got %+v, want %v", f, receipt.ID)
	}
	if status := s.status("/livez"); status != http.StatusOK {
		t.Errorf("alive while draining: %d", status)
	}
	for _, c := range []foreign{client, late} {
		if _, err := c.receive(); coder.CloseStatus(err) != coder.StatusGoingAway {
			t.Errorf("the connection ended with %v", err)
		}
	}
	if err := <-s.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
