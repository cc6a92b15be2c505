package broker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// busyEngine has something happen before some of its calls: each hook is taken once.
type busyEngine struct {
	broker.Engine
	position, read *atomic.Pointer[func()]
}

func newBusyEngine(history broker.History) busyEngine {
	return busyEngine{broker.NewMemory(history), new(atomic.Pointer[func()]), new(atomic.Pointer[func()])}
}

func (e busyEngine) Position(ctx context.Context) (models.ID, error) {
	if hook := e.position.Swap(nil); hook != nil {
		(*hook)()
	}
	return e.Engine.Position(ctx)
}

func (e busyEngine) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	if hook := e.read.Swap(nil); hook != nil {
		(*hook)()
	}
	return e.Engine.Read(ctx, query)
}

// single retains one message of each topic.
func single() broker.History {
	history := small()
	history.MaxMessagesPerTopic = 1
	return history
}

// TestLossWhileItBegins: what is published and removed while the place to begin at is looked for
// is told.
func TestLossWhileItBegins(t *testing.T) {
	begin := func(t *testing.T) (*service, models.Receipt) {
		engine := newBusyEngine(single())
		s := startOver(t, engine, defaults())
		first := s.publish("a", "1")
		lose := func() { s.publishTo("a", "a") } // of which one is left
		engine.read.Store(&lose)
		return s, first
	}
	t.Run("history", func(t *testing.T) {
		s, first := begin(t)
		page, err := s.History(t.Context(), models.Caller{}, models.HistoryFilter{Pattern: "a", Start: since(first), Limit: 9})
		if err != nil || *page.Recovered || len(page.Messages) != 1 {
			t.Errorf("%+v, %v", page, err)
		}
	})
	t.Run("since", func(t *testing.T) {
		s, first := begin(t)
		c, conn := s.comer()
		s.subscribeFrom(since(first), c, "a")
		conn.wantAck(first.ID, "false")
		conn.want("message")
		conn.want("caught_up")
	})
	t.Run("last", func(t *testing.T) {
		s, first := begin(t)
		c, conn := s.comer()
		s.subscribeFrom(models.Start{Last: 1}, c, "a")
		conn.want("ack") // the last one of when it was asked: the third
		if m := conn.want("message"); m.ID.Sequence != first.ID.Sequence+2 {
			t.Errorf("the last is %v", m.ID)
		}
		conn.want("caught_up")
	})
}

// TestLossWhileAPollWaits: who asks without a cursor is told what is lost from then on.
func TestLossWhileAPollWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newBusyEngine(single())
		s := startOver(t, engine, defaults())
		answers := s.poll(t.Context(), "a", models.Start{}, time.Minute)
		synctest.Wait()
		lose := func() { s.publish("a", "2") }
		engine.position.Store(&lose)
		s.publish("a", "1")
		if a := <-answers; a.err != nil || len(a.page.Messages) != 1 || a.page.Recovered == nil || *a.page.Recovered {
			t.Errorf("%+v", a)
		}
		if a := <-s.poll(t.Context(), "a", models.Start{}, time.Minute); a.err != nil || len(a.page.Messages) != 1 || a.page.Recovered != nil {
			t.Errorf("nothing is lost: %+v", a)
		}
	})
}

// TestBusyTopicIsToldOnce: a topic that goes on losing messages beyond what a replay is to bring
// makes no gap on each page.
func TestBusyTopicIsToldOnce(t *testing.T) {
	history := small()
	history.MaxMessagesPerTopic = 20
	var s *service
	var reads atomic.Int64
	engine := pagedEngine{Engine: broker.NewMemory(history), page: 1, reading: func() {
		if reads.Add(1) > 2 { // behind the beginning, and the page with the message of a
			for range 20 {
				s.publish("a", "1")
			}
		}
	}}
	s = startOver(t, engine, defaults())
	s.publish("a", "1")
	for range 15 {
		s.publish("b", "1")
	}
	c, conn := s.comer()
	s.subscribeFrom(everything(), c, "*")
	gaps, others := 0, 0
	for live := false; !live; {
		switch l := conn.next(); {
		case l.Type == "notice":
			gaps++
		case l.Type == "message" && l.Topic == "b":
			others++
		case l.Type == "caught_up":
			live = true
		}
	}
	// What is published meanwhile is lost in part, when the replay comes to it.
	if others != 15 || gaps > 3 {
		t.Errorf("%d gaps beside %d messages", gaps, others)
	}
}

// TestHeldAndTooMany: what was removed while live messages were held back, and then were too many
// for that, is told.
func TestHeldAndTooMany(t *testing.T) {
	var reads atomic.Int64
	at := map[int64]chan struct{}{2: make(chan struct{}), 3: make(chan struct{})}
	goOn := map[int64]chan struct{}{2: make(chan struct{}), 3: make(chan struct{})}
	engine := pagedEngine{Engine: broker.NewMemory(small()), page: 1, reading: func() {
		if n := reads.Add(1); at[n] != nil {
			close(at[n])
			<-goOn[n]
		}
	}}
	s := startOver(t, engine, defaults())
	purge := func(topic models.Topic) {
		t.Helper()
		if err := s.Purge(t.Context(), models.Caller{}, topic); err != nil {
			t.Fatal(err)
		}
	}
	past := s.publishTo("x", "b", "b", "b")
	purge("x")
	c, conn := s.comer()
	s.subscribeFrom(since(past[0]), c, "a", "b")
	<-at[2]
	s.publish("a", "1") // is held back
	s.settle(c)
	purge("a")
	close(goOn[2])
	<-at[3]
	large := `"` + strings.Repeat("x", 200_000) + `"`
	more := []models.Receipt{s.publish("a", large), s.publish("a", large)}
	s.settle(c)
	close(goOn[3])
	var got []models.ID
	gaps := map[string]int{}
	for live := false; !live; {
		switch l := conn.next(); l.Type {
		case "notice":
			gaps[l.Topic]++
		case "message":
			got = append(got, l.ID)
		case "caught_up":
			live = true
		}
	}
	want := []models.ID{past[1].ID, past[2].ID, past[3].ID, more[0].ID, more[1].ID}
	if diff := cmp.Diff(want, got[max(0, len(got)-len(want)):]); diff != "" && len(got) == len(want) {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The first one was held back, and came, or is told to be missing.
	if len(got) == len(want) && (gaps["a"] == 0 || gaps["b"] == 0) || len(got) < len(want) {
		t.Errorf("got %v, told of %v", got, gaps)
	}
}

// TestOldLogHidesNothing: how much a log had lost before it began anew says nothing about the new
// one, however the replay came into it.
func TestOldLogHidesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		others  int
		pattern models.Pattern
	}{
		"a topic": {0, "a.x"}, "a walk": {2000, ">"},
	} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.NewUnruly(2, small())
			s := startOver(t, engine, defaults())
			_, watch := s.join("a.x")
			_, others := s.join("x")
			for range 100 {
				others.wantMessages(s.publish("x", "1"))
			}
			past := s.publish("a.x", "1")
			watch.wantMessages(past)
			client, conn := s.comer()
			conn.stick()
			s.subscribeFrom(since(past), client, c.pattern)
			s.settle(client)
			if err := engine.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			large := `"` + strings.Repeat("x", 100_000) + `"`
			held := []models.Receipt{s.publish("a.x", large), s.publish("a.x", large)}
			watch.wantGap("a.x")
			watch.wantMessages(held...)
			s.settle(client)
			conn.set(func(p *pipe) { p.left = 1000 })
			conn.open()
			conn.awaitStuck()
			s.settle(client)
			for range 4 { // of which three are left
				watch.wantMessages(s.publish("a.x", large))
			}
			for range c.others {
				s.publish("o.x", "1")
			}
			s.settle(client)
			conn.set(func(p *pipe) { p.left = 0 })
			conn.open()
			var last models.ID
			told := false
			for live := false; !live; {
				switch l := conn.next(); l.Type {
				case "notice":
					told = true
				case "message":
					if l.ID.Epoch == last.Epoch && l.ID.Sequence > last.Sequence+1 && l.Topic == "a.x" && !told {
						t.Errorf("%v comes behind %v, and nothing is told", l.ID, last)
					}
					last, told = l.ID, false
				case "caught_up":
					live = true
				}
			}
		})
	}
}
