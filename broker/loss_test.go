package broker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"fanfare/models"
)

// TestLossesAreTold: of what was published while a client took nothing, or little at a
// time, it gets every message, in order, or is told how many were dropped; and so are
// those who look at the client or at the counters.
func TestLossesAreTold(t *testing.T) {
	const publishers, each, topics = 4, 500, 5
	for _, overflow := range []models.Overflow{models.OverflowDropOldest, models.OverflowLatest} {
		t.Run(string(overflow), func(t *testing.T) {
			options := defaults()
			options.OutboxSize = 16 << 10
			s := start(t, options)
			conn := newPipe(t)
			c := s.connect(conn)
			conn.want("welcome")
			s.subscribeWith(overflow, c, "t.*")
			conn.want("ack")
			s.subscribe(c, "end")
			conn.want("ack")
			_, healthy := s.join("t.*")

			conn.mu.Lock()
			conn.narrow = 700
			conn.mu.Unlock()
			publish := func() {
				var publishing sync.WaitGroup
				for p := range publishers {
					publishing.Go(func() {
						for n := range each {
							s.publish(models.Topic(fmt.Sprintf("t.%d", (p+n)%topics)), `"`+strings.Repeat("x", 200)+`"`)
						}
					})
				}
				publishing.Wait()
			}
			conn.stick()
			publish()
			conn.open()
			publish()
			end := s.publish("end", "1")

			var got, told uint64
			var last models.ID
			for last != end.ID {
				switch l := conn.next(); {
				case l.Type == "message" && l.ID.Sequence > last.Sequence:
					last = l.ID
					got++
				case l.Type == "notice" && l.Code == "dropped" && l.Topic == "t.*" && l.Count > 0:
					told += l.Count
				default:
					t.Fatalf("got %+v after %v", l, last)
				}
			}
			if published := uint64(2*publishers*each + 1); got+told != published || told == 0 {
				t.Errorf("%d messages and %d told of, %d were published", got, told, published)
			}
			info, err := s.Client(t.Context(), models.Caller{}, c.ID())
			if err != nil || info.Dropped != told {
				t.Errorf("the client has dropped %d, %v, and was told of %d", info.Dropped, err, told)
			}
			stats := s.Stats()
			if stats.Dropped[overflow] != told || stats.Dropped[models.OverflowDropOldest]+stats.Dropped[models.OverflowLatest] != told {
				t.Errorf("the counters have %v, the client was told of %d", stats.Dropped, told)
			}
			last = models.ID{}
			for range 2 * publishers * each {
				m := healthy.want("message")
				if m.ID.Sequence <= last.Sequence {
					t.Fatalf("got %v after %v", m.ID, last)
				}
				last = m.ID
			}
		})
	}
}

// TestSubscribingAgainReplacesTheOptions, in the order of the log: what is published
// before the ack is under the old ones, what comes after under the new.
func TestSubscribingAgainReplacesTheOptions(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.join("a")
	conn.stick()
	kept := []models.ID{s.publish("a", "1").ID, s.publish("a", "2").ID}
	s.subscribeWith(models.OverflowLatest, c, "a", "b")
	s.publish("a", "3")
	s.publish("b", "4")
	s.publish("b", "5")
	s.publish("a", "6")
	s.subscribeWith("", c, "b")
	kept = append(kept, s.publish("b", "7").ID, s.publish("b", "8").ID)
	s.settle(c)
	conn.open()
	want := []line{
		{Type: "message", ID: kept[0]},
		{Type: "message", ID: kept[1]},
		{Type: "ack"},
		{Type: "notice", Topic: "a", Count: 1},
		{Type: "notice", Topic: "b", Count: 1},
		{Type: "message", Data: 5.0},
		{Type: "message", Data: 6.0},
		{Type: "ack"},
		{Type: "message", ID: kept[2]},
		{Type: "message", ID: kept[3]},
		{Type: "pong"},
		{Type: "pong"},
	}
	for i, w := range want {
		got := conn.want(w.Type)
		if w.ID != (models.ID{}) && got.ID != w.ID || w.Data != nil && got.Data != w.Data || w.Count != got.Count || w.Count > 0 && w.Topic != got.Topic {
			t.Errorf("frame %d is %+v, want %+v", i, got, w)
		}
	}
	info, err := s.Client(t.Context(), models.Caller{}, c.ID())
	if err != nil || len(info.Subscriptions) != 2 || info.Dropped != 2 || s.Stats().Subscriptions != 2 {
		t.Errorf("the client is %+v, %v", info, err)
	}
}
