package broker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// page gives a page of the log.
func (s *service) page(pattern models.Pattern, start models.Start, limit int) models.HistoryPage {
	s.t.Helper()
	page, err := s.History(s.t.Context(), models.Caller{}, models.HistoryFilter{Pattern: pattern, Start: start, Limit: limit})
	if err != nil {
		s.t.Fatal(err)
	}
	return page
}

// checkPage compares a page with what is in it.
func checkPage(t *testing.T, page models.HistoryPage, recovered string, next models.ID, receipts ...models.Receipt) {
	t.Helper()
	got, want := []models.ID{}, []models.ID{}
	for _, m := range page.Messages {
		got = append(got, m.ID)
	}
	for _, r := range receipts {
		want = append(want, r.ID)
	}
	said := line{Recovered: page.Recovered}.recovered()
	if diff := cmp.Diff(want, got); diff != "" || said != recovered || page.Next != next || page.Messages == nil {
		t.Errorf("recovered: %q, want %q; next %v, want %v (-want +got):\n%s", said, recovered, page.Next, next, diff)
	}
}

func TestHistory(t *testing.T) {
	s := startOver(t, broker.NewMemory(small()), defaults())
	past := s.publishTo("b", "a", "a", "a", "a", "b", "c")
	end := past[6].ID
	unknown := models.Start{Since: models.ID{Epoch: "other", Sequence: 3}}
	future := models.Start{Since: models.ID{Epoch: end.Epoch, Sequence: end.Sequence + 1}}

	checkPage(t, s.page("b", models.Start{}, 9), "", end, past[0], past[5])
	checkPage(t, s.page("a", models.Start{}, 9), "", end, past[2:5]...)
	checkPage(t, s.page("b", everything(), 9), "true", end, past[0], past[5])
	checkPage(t, s.page("a", everything(), 9), "false", end, past[2:5]...)
	checkPage(t, s.page("a", since(past[1]), 9), "true", end, past[2:5]...)
	checkPage(t, s.page("*", since(past[5]), 9), "true", end, past[6])
	checkPage(t, s.page("*", since(past[6]), 9), "true", end)
	checkPage(t, s.page("*", models.Start{Last: 2}, 9), "", end, past[5:]...)
	checkPage(t, s.page("b", models.Start{Last: 1}, 9), "", end, past[5])
	checkPage(t, s.page("d", models.Start{Last: 1}, 9), "", end)
	checkPage(t, s.page("b", unknown, 9), "false", end, past[0], past[5])
	checkPage(t, s.page("b", future, 9), "false", end, past[0], past[5])
	checkPage(t, s.page("d", unknown, 9), "false", end)

	// Page by page: each says of all that comes after its cursor whether something is lost.
	checkPage(t, s.page("*", everything(), 2), "false", past[2].ID, past[0], past[2])
	checkPage(t, s.page("*", since(past[2]), 2), "true", past[4].ID, past[3], past[4])
	checkPage(t, s.page("*", since(past[4]), 2), "true", past[6].ID, past[5], past[6])
	checkPage(t, s.page("*", since(past[6]), 2), "true", end)
	checkPage(t, s.page("b", everything(), 1), "true", past[4].ID, past[0])
}

// TestHistoryOfLargeMessages: a page ends when it has grown large, and the next goes on. What a message carries beside its
// data counts like these.
func TestHistoryOfLargeMessages(t *testing.T) {
	text := func(size int) string { return `"` + strings.Repeat("x", size) + `"` }
	for name, tt := range map[string]struct {
		count, size int
		draft       models.Draft
	}{
		"data":   {30, 120_000, models.Draft{Data: []byte(text(120_000))}},
		"events": {600, 8000, models.Draft{Data: []byte("1"), Attributes: models.NewAttributes("", "", []byte(`{"id":`+text(8000)+`}`))}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, defaults())
			tt.draft.Topic = "a"
			var past []models.Receipt
			for range tt.count {
				receipt, err := s.Publish(t.Context(), models.Caller{}, tt.draft)
				if err != nil {
					t.Fatal(err)
				}
				past = append(past, receipt)
			}
			start := everything()
			for seen := 0; seen < tt.count; {
				page := s.page("a", start, 1000)
				n := len(page.Messages)
				if n == 0 || n*tt.size > 3<<19 || n*tt.size < 1<<20 && seen+n < tt.count {
					t.Fatalf("%d messages after %d of %d", n, seen, tt.count)
				}
				checkPage(t, page, "true", past[seen+n-1].ID, past[seen:seen+n]...)
				seen += n
				start.All, start.Since = false, page.Next
			}
		})
	}
}

// TestHistoryLosesWhileItReads: what is removed under its hands is not passed over.
func TestHistoryLosesWhileItReads(t *testing.T) {
	memory := broker.NewMemory(small())
	reads := 0
	s := startOver(t, pagedEngine{Engine: memory, page: 2, reading: func() {
		if reads++; reads == 3 {
			if err := memory.Purge(t.Context(), "b"); err != nil {
				t.Error(err)
			}
		}
	}}, defaults())
	past := s.publishTo("a", "a", "b", "a", "b")
	checkPage(t, s.page("*", everything(), 9), "false", past[4].ID, past[0], past[1], past[3])
}

// TestHistoryWithoutTheEngine, and with one that is late: the log is asked, and nobody
// waits for what is on its way.
func TestHistoryWithoutTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newLateEngine(1)
		s := startOver(t, engine, defaults())
		engine.late <- struct{}{}
		past := s.publishTo("a", "a")
		begin := time.Now()
		checkPage(t, s.page("a", since(past[0]), 9), "true", past[1].ID, past[1])
		checkPage(t, s.page("a", since(past[1]), 9), "true", past[1].ID)
		if passed := time.Since(begin); passed > 0 {
			t.Errorf("it took %v", passed)
		}
		engine.GoAway()
		filter := models.HistoryFilter{Pattern: "a", Start: since(past[0]), Limit: 9}
		if _, err := s.History(t.Context(), models.Caller{}, filter); models.AsError(err).Code != models.CodeEngineUnavailable {
			t.Errorf("history: %v", err)
		}
		if err := s.Purge(t.Context(), models.Caller{}, "a"); models.AsError(err).Code != models.CodeEngineUnavailable {
			t.Errorf("purge: %v", err)
		}
		engine.ComeBack()
		<-engine.late
	})
}

// answer is what a long poll was answered with, and when.
type answer struct {
	page  models.HistoryPage
	err   error
	after time.Duration
}

// poll begins a long poll.
func (s *service) poll(ctx context.Context, pattern models.Pattern, start models.Start, wait time.Duration) <-chan answer {
	answers := make(chan answer, 1)
	begin := time.Now()
	go func() {
		filter := models.HistoryFilter{Pattern: pattern, Start: start, Limit: 9}
		connection := models.Connection{Transport: models.TransportPoll, UserAgent: "poll"}
		page, err := s.AwaitHistory(ctx, models.Caller{User: "ada"}, filter, wait, connection)
		answers <- answer{page, err, time.Since(begin)}
	}()
	return answers
}

// check holds the answer to its time.
func (a answer) check(t *testing.T, after time.Duration) {
	t.Helper()
	if a.err != nil || a.after != after {
		t.Errorf("after %v, want %v: %v", a.after, after, a.err)
	}
}

// TestLongPoll: it is answered at once if there is something, else when there is, else
// when its time is up.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startOver(t, broker.NewMemory(small()), defaults())
		past := s.publishTo("a", "a", "a", "a", "b")
		end := past[4].ID

		at := func(start models.Start, after time.Duration, recovered string, next models.ID, receipts ...models.Receipt) {
			t.Helper()
			a := <-s.poll(t.Context(), "a", start, 30*time.Second)
			a.check(t, after)
			checkPage(t, a.page, recovered, next, receipts...)
		}
		at(since(past[2]), 0, "true", end, past[3])
		at(models.Start{}, 0, "", end, past[1:4]...)
		at(models.Start{Last: 1}, 0, "", end, past[3])
		at(models.Start{Since: models.ID{Epoch: "other", Sequence: 7}}, 0, "false", end, past[1:4]...)
		at(since(past[3]), 30*time.Second, "true", end)

		news := func(pattern models.Pattern, start models.Start, recovered string) {
			t.Helper()
			answers := s.poll(t.Context(), pattern, start, 30*time.Second)
			time.Sleep(10 * time.Second)
			s.publish("b", "1") // not for it
			time.Sleep(10 * time.Second)
			r := s.publish("c.d", "1")
			a := <-answers
			a.check(t, 20*time.Second)
			checkPage(t, a.page, recovered, r.ID, r)
			if err := s.Purge(t.Context(), models.Caller{}, "c.d"); err != nil {
				t.Fatal(err)
			}
		}
		news("c.d", since(past[4]), "true")
		news("c.*", models.Start{}, "")
		news("c.>", models.Start{Last: 3}, "")

		// What was purged before the poll came to it is told at once.
		r := s.publishTo("e", "e")
		if err := s.Purge(t.Context(), models.Caller{}, "e"); err != nil {
			t.Fatal(err)
		}
		a := <-s.poll(t.Context(), "e", since(r[0]), 30*time.Second)
		a.check(t, 0)
		checkPage(t, a.page, "false", r[1].ID)
	})
}

// TestLongPollIsAClient: while it waits, it is listed, counted and may be sent away like
// any other, and then it is gone.
func TestLongPollIsAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := defaults()
		options.Clients = 1
		s := start(t, options)
		past := s.publishTo("a")
		clients := func() []models.ClientInfo {
			page, err := s.Clients(t.Context(), models.Caller{}, models.ClientFilter{Page: models.Page{Limit: 9}})
			if err != nil {
				t.Fatal(err)
			}
			return page.Clients
		}
		answers := s.poll(t.Context(), "a.*", since(past[0]), minute)
		time.Sleep(time.Second)
		listed := clients()
		if len(listed) != 1 || listed[0].Transport != models.TransportPoll || listed[0].User != "ada" || listed[0].UserAgent != "poll" ||
			!cmp.Equal(listed[0].Subscriptions, []models.Pattern{"a.*"}) || s.Stats().Clients[models.TransportPoll] != 1 {
			t.Fatalf("clients %+v, stats %+v", listed, s.Stats())
		}
		other := <-s.poll(t.Context(), "a", since(past[0]), minute)
		if models.AsError(other.err).Code != models.CodeTooManyClients {
			t.Errorf("one client too many: %+v", other)
		}
		// Who need not wait is no client.
		if a := <-s.poll(t.Context(), "a", everything(), minute); a.err != nil || len(a.page.Messages) != 1 {
			t.Errorf("a poll that need not wait: %+v", a)
		}
		if err := s.Disconnect(t.Context(), models.Caller{}, listed[0].ID, models.CloseDisconnected); err != nil {
			t.Fatal(err)
		}
		a := <-answers
		a.check(t, time.Second)
		checkPage(t, a.page, "true", past[0].ID)
		if len(clients()) != 0 || s.Stats().Clients[models.TransportPoll] != 0 || s.Stats().Subscriptions != 0 {
			t.Errorf("clients %+v, stats %+v", clients(), s.Stats())
		}

		ctx, cancel := context.WithCancel(t.Context())
		answers = s.poll(ctx, "a", since(past[0]), minute)
		time.Sleep(time.Second)
		cancel()
		if a := <-answers; a.after != time.Second {
			t.Errorf("one that nobody waits for: %+v", a)
		}
		if len(clients()) != 0 {
			t.Errorf("clients %+v", clients())
		}
	})
}

// TestLongPollEndsWithTheService: it is answered, and holds up nothing.
func TestLongPollEndsWithTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := broker.New(t.Context(), broker.NewMemory(enginetest.Generous()), defaults())
		if err != nil {
			t.Fatal(err)
		}
		s := &service{p, t}
		past := s.publishTo("a")
		answers := s.poll(t.Context(), "a", since(past[0]), minute)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), minute)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		a := <-answers
		if a.err != nil || a.after >= 2*time.Second {
			t.Errorf("after %v: %v", a.after, a.err)
		}
		checkPage(t, a.page, "true", past[0].ID)
		if a := <-s.poll(t.Context(), "a", since(past[0]), minute); models.AsError(a.err).Code != models.CodeShuttingDown {
			t.Errorf("a poll after it: %+v", a)
		}
	})
}
