package broker_test

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/models"
)

// TestSlowClientIsOnItsOwn: a client that takes nothing is closed when its outbox is
// full; nobody else notices, and no frame is broken.
func TestSlowClientIsOnItsOwn(t *testing.T) {
	const count = 200
	options := defaults()
	options.OutboxSize = 64 << 10
	s := start(t, options)
	c, slow := s.join("a")
	_, healthy := s.join("a")
	slow.stick()
	data := `"` + strings.Repeat("x", 1000) + `"`
	for range count {
		want := s.publish("a", data)
		if m := healthy.want("message"); m.ID != want.ID {
			t.Fatalf("healthy client got %v, want %v", m.ID, want.ID)
		}
	}
	if reason := slow.awaitClose(); reason != models.CloseSlowConsumer {
		t.Errorf("closed for %v", reason)
	}
	if reason := s.RemoveClient(c, models.CloseAbnormal); reason != models.CloseSlowConsumer {
		t.Errorf("removed for %v", reason)
	}
}

// TestSlowClientHearsWhy: if it begins to read again in time, the close frame is the
// next thing that it gets, behind the rest of a frame of which it has a part.
func TestSlowClientHearsWhy(t *testing.T) {
	options := defaults()
	options.OutboxSize = 64 << 10
	s := start(t, options)
	conn := newPipe(t)
	c, err := s.AddClient(t.Context(), models.Caller{}, conn, models.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	conn.want("welcome")
	s.subscribe(c, "a")
	conn.want("ack")
	conn.mu.Lock()
	conn.left = 500
	conn.mu.Unlock()
	data := `"` + strings.Repeat("x", 1000) + `"`
	begun := s.publish("a", data)
	for range 100 {
		s.publish("a", data)
	}
	if reason := conn.awaitClose(); reason != models.CloseSlowConsumer {
		t.Errorf("closed for %v", reason)
	}
	conn.open()
	if m := conn.want("message"); m.ID != begun.ID {
		t.Errorf("got %v, of which a part had left was %v", m.ID, begun.ID)
	}
	if last := conn.want("close"); last.Code != "4001" {
		t.Errorf("closed with %s", last.Code)
	}
	s.RemoveClient(c, models.CloseAbnormal)
}

// TestHiccup: a connection that was full for a moment, and says at once that it has room
// again, is not cut off, however much stands in the queue before its turn.
func TestHiccup(t *testing.T) {
	const count = 500
	options := defaults()
	options.OutboxSize = 64 << 10
	s := start(t, options)
	_, conn := s.join("a")
	conn.mu.Lock()
	conn.narrow = 1500
	conn.mu.Unlock()
	stuck, release := conn.jam()
	data := `"` + strings.Repeat("x", 1000) + `"`
	want := []models.ID{s.publish("a", data).ID}
	<-stuck
	for range count {
		want = append(want, s.publish("a", data).ID)
	}
	release()
	for _, id := range want {
		if m := conn.want("message"); m.ID != id {
			t.Fatalf("got %+v, want %v", m, id)
		}
	}
}

// TestLargeOutboxStarvesNobody: a client that has much to catch up with, and does so
// quickly, gets it in rounds, and what comes for others meanwhile does not wait for it.
func TestLargeOutboxStarvesNobody(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one shard for all
	s := start(t, defaults())
	_, greedy := s.join("much")
	_, other := s.join("little")
	greedy.stick()
	const count = 40
	data := `"` + strings.Repeat("x", 40_000) + `"`
	var want []models.ID
	for range count {
		want = append(want, s.publish("much", data).ID)
	}
	bystander, _ := s.join("nothing")
	s.settle(bystander)

	stuck, release := greedy.jam()
	jammed := greedy.writing
	writes, writesBefore := 0, 0
	greedy.mu.Lock()
	greedy.writing = func() {
		writes++
		jammed()
	}
	greedy.mu.Unlock()
	other.mu.Lock()
	other.writing = func() { writesBefore = writes }
	other.mu.Unlock()
	greedy.open()
	<-stuck
	small := s.publish("little", "1")
	release()
	if m := other.want("message"); m.ID != small.ID {
		t.Errorf("got %v, want %v", m.ID, small.ID)
	}
	for _, id := range want {
		if m := greedy.want("message"); m.ID != id {
			t.Fatalf("got %v, want %v", m.ID, id)
		}
	}
	// A round is two writes of a message each: the one that was jammed, and one more
	// that the small message came into.
	if writesBefore > 4 || writes != count {
		t.Errorf("the small message came after %d of %d writes", writesBefore, writes)
	}
}

// TestTinyFramesCount: frames of a few bytes cost more than these, and fill an outbox.
func TestTinyFramesCount(t *testing.T) {
	options := defaults()
	options.OutboxSize = 64 << 10
	s := start(t, options)
	c, conn := s.join("a")
	conn.stick()
	for n := 1; ; n++ {
		if err := s.SendRaw(t.Context(), c, []byte("\n")); err != nil {
			t.Fatal(err)
		}
		conn.mu.Lock()
		closed := conn.closed
		conn.mu.Unlock()
		if closed == models.CloseSlowConsumer {
			break
		}
		if n > options.OutboxSize/32 {
			t.Fatalf("%d frames wait in an outbox of %d bytes", n, options.OutboxSize)
		}
	}
}

// TestGoodbyeGetsThrough: a peer that reads, but is behind, gets the close frame.
func TestGoodbyeGetsThrough(t *testing.T) {
	for _, reason := range []models.CloseCode{models.CloseNormal, models.CloseTooBig} {
		s := start(t, defaults())
		c, conn := s.join("a")
		conn.mu.Lock()
		conn.left = 500
		conn.mu.Unlock()
		data := `"` + strings.Repeat("x", 1000) + `"`
		first := s.publish("a", data)
		for range 10 {
			s.publish("a", data)
		}
		conn.awaitStuck()
		removed := make(chan models.CloseCode)
		go func() { removed <- s.RemoveClient(c, reason) }()
		if got := conn.awaitClose(); got != reason {
			t.Errorf("closed for %v, want %v", got, reason)
		}
		if err := s.Send(t.Context(), c, models.NewPong(nil)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-removed:
			t.Error("removed, although something is still to be written")
		default:
		}
		conn.open()
		if m := conn.want("message"); m.ID != first.ID {
			t.Errorf("got %v, of which a part had left was %v", m.ID, first.ID)
		}
		if last := conn.want("close"); last.Code != strconv.Itoa(int(reason)) {
			t.Errorf("closed with %s, want %d", last.Code, reason)
		}
		if got := <-removed; got != reason {
			t.Errorf("removed for %v, want %v", got, reason)
		}
	}
}

// TestGoodbyeEndsWithTheConnection: a peer that takes nothing more does not keep its
// client when the connection's time is up.
func TestGoodbyeEndsWithTheConnection(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.join("a")
	conn.stick()
	s.publish("a", "1")
	removed := make(chan models.CloseCode)
	go func() { removed <- s.RemoveClient(c, models.CloseNormal) }()
	conn.awaitClose()
	conn.mu.Lock()
	conn.broken = errors.New("i/o timeout")
	conn.mu.Unlock()
	conn.open()
	if got := <-removed; got != models.CloseNormal {
		t.Errorf("removed for %v", got)
	}
}

// TestNarrowConnection: what leaves in small pieces arrives whole and in order.
func TestNarrowConnection(t *testing.T) {
	s := start(t, defaults())
	_, conn := s.join("a")
	conn.mu.Lock()
	conn.narrow = 7
	conn.mu.Unlock()
	var want []models.ID
	for range 100 {
		want = append(want, s.publish("a", `"some data"`).ID)
	}
	for _, id := range want {
		if m := conn.want("message"); m.ID != id {
			t.Fatalf("got %v, want %v", m.ID, id)
		}
	}
}

// TestPublishersWaitForTheShards: while the shards take nothing, publishers are let in
// up to the budget and then fail with overloaded. Nothing that was answered is lost,
// and the subscriber, whose outbox is smaller than what was in flight, is not cut off.
func TestPublishersWaitForTheShards(t *testing.T) {
	data := `"` + strings.Repeat("x", 1000) + `"`
	for name, draft := range map[string]models.Draft{
		"data":  {Topic: "a", Data: []byte(data)},
		"event": {Topic: "a", Data: []byte("1"), Attributes: models.NewAttributes("", "", []byte(`{"id":`+data+`}`))},
	} {
		t.Run(name, func(t *testing.T) { testPublishersWait(t, draft, data) })
	}
}

func testPublishersWait(t *testing.T, draft models.Draft, data string) {
	options := defaults()
	options.InFlightSize = 256 << 10
	options.OutboxSize = 8 << 10
	options.MessageSize = 4 << 10
	options.PublishWait = 50 * time.Millisecond
	s := start(t, options)
	_, conn := s.join("a")
	stuck, release := conn.jam()
	answered := []models.ID{s.publish("a", data).ID}
	<-stuck
	for {
		receipt, err := s.Publish(t.Context(), models.Caller{}, draft)
		if err != nil {
			if e := models.AsError(err); e.Code != models.CodeOverloaded || e.RetryAfter == 0 {
				t.Errorf("error %+v", e)
			}
			break
		}
		answered = append(answered, receipt.ID)
	}
	if limit := options.InFlightSize / 1000; int64(len(answered)) > limit {
		t.Errorf("%d messages in flight, the budget has room for less than %d", len(answered), limit)
	}
	release()
	for _, id := range answered {
		if m := conn.want("message"); m.ID != id {
			t.Fatalf("got %+v, want %v", m, id)
		}
	}
	after := s.publish("a", data)
	if m := conn.want("message"); m.ID != after.ID {
		t.Errorf("got %v after the jam, want %v", m.ID, after.ID)
	}
}

// TestWaitingPublishersGetIn: a publisher that waits for room gets it when there is.
func TestWaitingPublishersGetIn(t *testing.T) {
	const waiting = 20
	options := defaults()
	options.InFlightSize = 4 << 10
	options.MessageSize = 2 << 10
	s := start(t, options)
	_, conn := s.join("a")
	var publishing sync.WaitGroup
	for range waiting {
		publishing.Go(func() {
			for range 20 {
				s.publish("a", `"`+strings.Repeat("x", 1500)+`"`)
			}
		})
	}
	var last uint64
	for range waiting * 20 {
		m := conn.want("message")
		if m.ID.Sequence <= last {
			t.Fatalf("%v after %d", m.ID, last)
		}
		last = m.ID.Sequence
	}
	publishing.Wait()
}
