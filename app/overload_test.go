package app_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"fanfare/app"
	"fanfare/models"
)

// TestOverloadOverSockets: publishers that are faster than the shards, whose budget has
// room for two messages, wait and are told so; what was answered reaches everybody, and
// nobody who reads is cut off.
func TestOverloadOverSockets(t *testing.T) {
	const listeners, publishers, answers, refusals = 50, 8, 100, 20
	s := startServer(t, func(config *app.Config) {
		config.Limits.MessageSize = 2 * app.KiB
		config.Limits.InFlightSize = 3 * app.KiB
		config.Limits.PublishWait = time.Microsecond
	})
	heard := make([]map[string]bool, listeners)
	var listening sync.WaitGroup
	for i := range heard {
		client := s.dial()
		if err := client.send(`{"action":"subscribe","topic":"load"}`); err != nil {
			t.Fatal(err)
		}
		s.receive(client)
		heard[i] = make(map[string]bool)
		listening.Go(func() {
			if err := listen(client, heard[i]); coder.CloseStatus(err) != coder.StatusGoingAway {
				t.Errorf("listener %d was cut off: %v", i, err)
			}
		})
	}
	var mu sync.Mutex
	var answered []string
	refused := 0
	var publishing sync.WaitGroup
	for range publishers {
		publishing.Go(func() {
			for {
				receipt, problem, err := s.offer("load", strings.Repeat("x", 1000))
				mu.Lock()
				switch {
				case err == nil && problem.Code == "":
					answered = append(answered, receipt.ID.String())
				case problem.Code == models.CodeOverloaded:
					refused++
				default:
					t.Errorf("publish: %v %+v", err, problem)
				}
				enough := len(answered) >= answers && refused >= refusals || t.Failed()
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	publishing.Wait()
	s.stop()
	listening.Wait()
	for i, ids := range heard {
		for _, id := range answered {
			if !ids[id] {
				t.Errorf("listener %d did not hear %s, which was answered", i, id)
			}
		}
	}
	t.Logf("%d publishes were answered, %d refused", len(answered), refused)
}
