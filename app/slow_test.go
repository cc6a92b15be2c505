package app_test

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"fanfare/app"
	"fanfare/models"
)

// TestStuckReader: a subscriber that stops reading, in the midst of much that is for it,
// costs what its outbox may hold, and then its connection. Everybody else gets all of it,
// in order.
func TestStuckReader(t *testing.T) {
	const (
		batches, batch     = 50, 50 // 2,500 messages
		size               = 16 << 10
		readers, publisher = 3, 2
		slack              = 4 << 20 // what this test and the server hold for a moment
	)
	s := startServer(t, func(config *app.Config) { config.History.MaxMessagesPerTopic = 1 })
	outbox := int64(app.DefaultConfig().Limits.OutboxSize)
	healthy := make([]foreign, readers)
	for i := range healthy {
		healthy[i] = s.subscribed("news")
	}
	stuck, err := subscribeRaw(s.address, "news")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Close() }()
	stuckID := s.clientFrom(stuck.LocalAddr().String()).ID

	data := strings.Repeat("x", size)
	before := heap()
	var most int64
	for range batches {
		answered := make([][]models.ID, publisher)
		var busy sync.WaitGroup
		for i := range answered {
			busy.Go(func() {
				for range batch / publisher {
					receipt, problem, err := s.offer("news", data)
					if err != nil || problem.Code != "" {
						t.Errorf("publish: %v %+v", err, problem)
					}
					answered[i] = append(answered[i], receipt.ID)
				}
			})
		}
		heard := make([][]models.ID, readers)
		for i, client := range healthy {
			busy.Go(func() {
				for range batch {
					heard[i] = append(heard[i], s.id(s.receive(client)))
				}
			})
		}
		busy.Wait()
		all := slices.Concat(answered...)
		slices.SortFunc(all, func(a, b models.ID) int { return int(a.Sequence) - int(b.Sequence) }) //nolint:gosec // small
		for i := range heard {
			if !slices.Equal(heard[i], all) {
				t.Fatalf("reader %d heard %v, published were %v", i, heard[i], all)
			}
		}
		queued := s.clientFrom(stuck.LocalAddr().String()).QueuedBytes
		most = max(most, queued)
		if now := heap(); now > before+outbox+slack {
			t.Fatalf("the heap has grown by %d KiB, with %d KiB queued", (now-before)>>10, queued>>10)
		}
	}
	if most < outbox/2 || most > outbox {
		t.Errorf("as many as %d bytes were queued, of an outbox of %d", most, outbox)
	}

	// Its time to leave is cut short.
	_ = stuck.Close()
	s.await(func() bool { return len(s.log.having("client_closed")) > 0 })
	lines := s.log.having("client_closed")
	if len(lines) != 1 || !strings.Contains(lines[0], "client_id="+stuckID) || !strings.Contains(lines[0], "code=4001") {
		t.Errorf("the log has %q", lines)
	}
	metrics := s.scrape()
	for _, line := range []string{
		`fanfare_client_closes_total{code="4001",reason="slow consumer"} 1`,
		`fanfare_clients{transport="websocket"} 3`,
		`fanfare_messages_published_total 2500`,
	} {
		if !slices.Contains(metrics, line) {
			t.Errorf("the metrics have no line %s", line)
		}
	}
}

// clientFrom gives the client of an address, or nothing if it has left.
func (s *server) clientFrom(address string) models.ClientInfo {
	s.t.Helper()
	var page models.ClientPage
	s.get("/clients", &page)
	for _, client := range page.Clients {
		if client.RemoteAddress == address {
			return client
		}
	}
	return models.ClientInfo{}
}

// scrape gives the lines of the metrics.
func (s *server) scrape() []string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url("http")+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %v", response.Status, err)
	}
	return strings.Split(string(text), "\n")
}

// heap is what is in use of it, in bytes.
func heap() int64 {
	var memory runtime.MemStats
	// What the first frees of pools, the second does of their victims.
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc) //nolint:gosec // small
}
