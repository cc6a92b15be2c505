package broker_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fanfare/broker"
	"fanfare/broker/enginetest"
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
	// Durations, the log and what goes out besides messages.
	inOther := cmpopts.IgnoreFields(broker.Stats{}, "PublishDuration", "FanOutDuration", "WrittenBytes", "Log")
	none := map[models.Overflow]uint64{models.OverflowDropOldest: 0, models.OverflowLatest: 0}
	if diff := cmp.Diff(broker.Stats{
		Clients:       map[models.Transport]int{models.TransportWebSocket: 3, "other": 1},
		MaxOutbox:     64 << 10,
		Closes:        map[models.CloseCode]uint64{},
		Dropped:       none,
		Subscriptions: 5,
		Topics:        2,
		Ready:         true,
		Nodes:         1,
	}, s.Stats(), inOther); diff != "" {
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
	if stats.PublishedBytes != 3 || stats.PublishDuration.Count() != 3 || stats.PublishDuration.Sum <= 0 {
		t.Errorf("what was published: %+v", stats)
	}
	// Who takes nothing does not hold up the end, and what nobody wants has none.
	if stats.FanOutDuration.Count() != 2 || stats.FanOutDuration.Sum <= 0 {
		t.Errorf("the fan-outs: %+v", stats.FanOutDuration)
	}
	if stats.Log == nil || stats.Log.Messages != 3 || stats.Log.Topics != 2 {
		t.Errorf("the log: %+v", stats.Log)
	}
	written := leaving.size() + staying.size()
	if others := stats.WrittenBytes - written; others < 100 || others > 2000 { // a stuck one, and one more, were welcomed
		t.Errorf("%d bytes were written, of which two took %d", stats.WrittenBytes, written)
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
		Clients:        map[models.Transport]int{models.TransportWebSocket: 1, "other": 0},
		MaxOutbox:      64 << 10,
		Closes:         map[models.CloseCode]uint64{models.CloseNormal: 1, models.CloseTooBig: 1, models.CloseSlowConsumer: 1},
		Dropped:        none,
		Published:      103,
		PublishedBytes: 3 + 100*uint64(len(data)),
		Subscriptions:  2,
		Topics:         2,
		Ready:          true,
		Nodes:          1,
	}, stats, inOther); diff != "" {
		t.Errorf("when all but one have left (-want +got):\n%s", diff)
	}
}

// TestStatsOfRecoveries: who comes back is counted by what it is told, replays while they run, and gaps
// for each notice.
func TestStatsOfRecoveries(t *testing.T) {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 1
	s := startOver(t, broker.NewMemory(history), defaults())
	first := s.publish("a", "1").ID
	second := s.publish("a", "2").ID
	back := func(conn *pipe, since models.ID) *broker.Client {
		t.Helper()
		c := s.connect(conn)
		options := models.SubscribeOptions{Start: models.Start{Since: since}}
		ack := models.NewAck(models.Request{Action: models.ActionSubscribe, Topic: "a"})
		if err := s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, options, ack); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, since := range []models.ID{second, {Epoch: first.Epoch}} {
		conn := newPipe(t)
		back(conn, since)
		for conn.next().Type != "caught_up" {
			continue
		}
	}
	s.join("a") // who asks for nothing is told nothing
	if stats := s.Stats(); stats.Recovered != 1 || stats.Unrecovered != 1 || stats.Replays != 0 || stats.Gaps != 0 {
		t.Errorf("%+v", stats)
	}

	slow := newPipe(t)
	slow.stick()
	c := back(slow, second)
	if stats := s.Stats(); stats.Recovered != 2 || stats.Replays != 1 {
		t.Errorf("while a replay cannot go on: %+v", stats)
	}
	// More than it holds back: what it has to read then is not there any more.
	for range 2000 {
		s.publish("a", "3")
	}
	s.settle(c)
	slow.open()
	for _, kind := range []string{"welcome", "ack", "pong", "pong", "notice"} {
		slow.want(kind)
	}
	for slow.next().Type == "message" {
		continue
	}
	if stats := s.Stats(); stats.Gaps != 1 || stats.Replays != 0 {
		t.Errorf("after it: %+v", stats)
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
