package broker_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

const (
	publishers  = 8
	subscribers = 50
	topics      = 5
)

// TestOrderUnderChurn: clients that subscribe and unsubscribe all the while get, in
// order and once, every message between the two, none after the ack of the
// unsubscribe and none before the position of the subscribe.
func TestOrderUnderChurn(t *testing.T) {
	engines := map[string]func() broker.Engine{
		"memory": func() broker.Engine { return broker.NewMemory(enginetest.Generous()) },
		"unruly": func() broker.Engine { return enginetest.NewUnruly(7, enginetest.Generous()) },
	}
	for name, newEngine := range engines {
		t.Run(name, func(t *testing.T) {
			engine := newEngine()
			options := defaults()
			options.MessageSize = 1 << 10
			options.InFlightSize = 64 << 10 // so that changes do not wait behind a mountain of messages
			s := startOver(t, engine, options)
			begin, err := engine.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var publishing, subscribing sync.WaitGroup
			for p := range publishers {
				publishing.Go(func() { publishUntil(s, stop, p) })
			}
			histories := make([][]stay, subscribers)
			for i := range histories {
				subscribing.Go(func() { histories[i] = churn(s, i) })
			}
			subscribing.Wait()
			close(stop)
			publishing.Wait()

			end, err := engine.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			log := readAll(t, engine, begin, end)
			seen := 0
			for i, stays := range histories {
				for _, stay := range stays {
					seen += len(stay.got)
					if err := stay.check(log); err != nil {
						t.Errorf("subscriber %d: %v", i, err)
					}
				}
			}
			t.Logf("%d messages in the log, %d delivered", len(log), seen)
			if seen == 0 {
				t.Error("nothing was delivered")
			}
		})
	}
}

// readAll gives all messages after one place and up to another.
func readAll(t *testing.T, engine broker.Engine, after, upTo models.ID) (messages []*models.Message) {
	t.Helper()
	for after != upTo {
		stretch, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{">"}, After: after, UpTo: upTo, Limit: 1000})
		if err != nil || !stretch.Follows(after) {
			t.Fatalf("reading after %v: %+v, %v", after, stretch, err)
		}
		messages = append(messages, stretch.Messages...)
		after = stretch.Reached
	}
	return messages
}

// publishUntil publishes to random topics, and now and then waits for a message of its
// own to come back, so that no more is under way than a slow machine can take.
func publishUntil(s *service, stop <-chan struct{}, seed int) {
	const burst = 20
	random := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // a test's chance
	echo := models.Topic(fmt.Sprintf("echo.%d", seed))
	_, conn := s.join(models.Pattern(echo))
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if n%burst == 0 {
			s.publish(echo, "0")
			conn.want("message")
		}
		s.publish(models.Topic(fmt.Sprintf("t.%d", random.IntN(topics))), fmt.Sprintf(`"%d-%d"`, seed, n))
	}
}

// stay is one subscription from its ack to that of its end.
type stay struct {
	pattern  models.Pattern
	from, to models.ID
	got      []models.ID
}

// churn subscribes, waits for some messages, unsubscribes, and so on.
func churn(s *service, seed int) (stays []stay) {
	random := rand.New(rand.NewPCG(uint64(seed), 2)) //nolint:gosec // a test's chance
	conn := newPipe(s.t)
	c := s.connect(conn)
	conn.want("welcome")
	for range 20 {
		st := stay{pattern: models.Pattern(fmt.Sprintf("t.%d", random.IntN(topics)))}
		if random.IntN(3) == 0 {
			st.pattern = "t.*"
		}
		s.subscribe(c, st.pattern)
		st.from = conn.want("ack").ID
		for range random.IntN(10) {
			st.got = append(st.got, conn.want("message").ID)
		}
		s.unsubscribe(c, st.pattern)
		for {
			l := conn.next()
			if l.Type == "ack" {
				st.to = l.ID
				break
			}
			st.got = append(st.got, l.ID)
		}
		stays = append(stays, st)
	}
	return stays
}

// check compares what came with what the log has between the two positions.
func (st stay) check(log []*models.Message) error {
	got := st.got
	for _, m := range log {
		due := m.ID.Sequence > st.from.Sequence && m.ID.Sequence <= st.to.Sequence && st.pattern.Matches(m.Topic)
		switch {
		case due && (len(got) == 0 || got[0] != m.ID):
			return fmt.Errorf("%s from %v to %v: %v is due, got %v", st.pattern, st.from, st.to, m.ID, got)
		case due:
			got = got[1:]
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("%s from %v to %v: got %v besides", st.pattern, st.from, st.to, got)
	}
	return nil
}

// TestGapIsTold: messages that are lost to the node are announced in every
// subscription, and what comes after them comes.
func TestGapIsTold(t *testing.T) {
	engine := enginetest.NewUnruly(3, enginetest.Generous())
	s := startOver(t, engine, defaults())
	_, exact := s.join("a")
	_, both := s.join("b", ">")
	first := s.publish("a", "1")
	for _, conn := range []*pipe{exact, both} {
		if m := conn.want("message"); m.ID != first.ID {
			t.Errorf("got %v, want %v", m.ID, first.ID)
		}
	}
	engine.Lose()
	after := s.publish("a", "2")
	if notice := exact.want("notice"); notice.Code != "gap" || notice.Topic != "a" {
		t.Errorf("notice %+v", notice)
	}
	told := map[string]bool{both.want("notice").Topic: true, both.want("notice").Topic: true}
	if !told["b"] || !told[">"] {
		t.Errorf("told of %v", told)
	}
	for _, conn := range []*pipe{exact, both} {
		if m := conn.want("message"); m.ID != after.ID {
			t.Errorf("got %v after the gap, want %v", m.ID, after.ID)
		}
	}
}

// TestAnotherEpochIsAGap: a log that begins anew has lost what the old one held, and
// its small sequences are no repetition.
func TestAnotherEpochIsAGap(t *testing.T) {
	engine := enginetest.NewUnruly(4, enginetest.Generous())
	s := startOver(t, engine, defaults())
	_, conn := s.join("a")
	for range 3 {
		s.publish("a", "1")
		conn.want("message")
	}
	if err := engine.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	receipt := s.publish("a", "2")
	if receipt.ID.Sequence != 1 {
		t.Fatalf("the new log begins at %v", receipt.ID)
	}
	conn.want("notice")
	if m := conn.want("message"); m.ID != receipt.ID {
		t.Errorf("got %v, want %v", m.ID, receipt.ID)
	}
}
