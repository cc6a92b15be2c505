package broker_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// TestStats: every client, message and subscription is counted, once.
func TestStats(t *testing.T) {
	options := defaults()
	options.OutboxSize = 64 << 10
	s := start(t, options)
	leaver, leaving := s.join("a", "b.*")
	stayer, staying := s.join("a", "c")
	stuckClient, stuck := s.join("a")
	sse := newPipe(t)
	other, err := s.AddClient(t.Context(), models.Caller{}, sse, models.Connection{Transport: "other"})
	if err != nil {
		t.Fatal(err)
	}
	sse.want("welcome")
	none := map[models.Overflow]uint64{models.OverflowDropOldest: 0, models.OverflowLatest: 0}
	if diff := cmp.Diff(broker.Stats{
		Clients:       map[models.Transport]int{models.TransportWebSocket: 3, "other": 1},
		Closes:        map[models.CloseCode]uint64{},
		Dropped:       none,
		Subscriptions: 5,
		Topics:        2,
	}, s.Stats()); diff != "" {
		t.Errorf("when all have come (-want +got):\n%s", diff)
	}

	stuck.stick()
	for range 2 {
		s.publish("a", "1")
		leaving.want("message")
		staying.want("message")
	}
	s.publish("nobody", "1")
	if _, err := s.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: make([]byte, 2<<20)}); err == nil {
		t.Fatal("too much was published")
	}
	for _, c := range []*broker.Client{leaver, stayer, stuckClient} {
		s.settle(c)
	}
	for range 2 {
		leaving.want("pong")
		staying.want("pong")
	}
	stats := s.Stats()
	if stats.Published != 3 || stats.Delivered != 4 || stats.QueuedBytes < 100 || stats.QueuedBytes > 1000 {
		t.Errorf("while one takes nothing: %+v", stats)
	}

	data := `"` + strings.Repeat("x", 1000) + `"`
	for range 100 {
		s.publish("a", data)
		staying.want("message")
	}
	stuck.awaitClose()
	stuck.mu.Lock()
	stuck.broken = errors.New("reset by peer")
	stuck.mu.Unlock()
	var removing sync.WaitGroup
	for range 10 {
		removing.Go(func() { s.RemoveClient(leaver, models.CloseNormal) })
		removing.Go(func() { s.RemoveClient(other, models.CloseTooBig) })
		removing.Go(func() { s.RemoveClient(stuckClient, models.CloseAbnormal) })
	}
	removing.Wait()
	stats = s.Stats()
	stats.Delivered = 0 // how far the one who left came is chance
	if diff := cmp.Diff(broker.Stats{
		Clients:       map[models.Transport]int{models.TransportWebSocket: 1, "other": 0},
		Closes:        map[models.CloseCode]uint64{models.CloseNormal: 1, models.CloseTooBig: 1, models.CloseSlowConsumer: 1},
		Dropped:       none,
		Published:     103,
		Subscriptions: 2,
		Topics:        2,
	}, stats); diff != "" {
		t.Errorf("when all but one have left (-want +got):\n%s", diff)
	}
}

// settle waits until the client's shard has counted all that was published before. It
// sends two pongs: when the second is taken, the batch with the first has been flushed.
func (s *service) settle(c *broker.Client) {
	s.t.Helper()
	for range 2 {
		if err := s.Send(s.t.Context(), c, models.NewPong(nil)); err != nil {
			s.t.Fatal(err)
		}
	}
}
