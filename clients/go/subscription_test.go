package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	fanfare "fanfare/clients/go"
)

// read reads what waits for the reader: ids, and errors as texts.
func read(t *testing.T, s *fanfare.Subscription) (all []string) {
	t.Helper()
	synctest.Wait() // until all that was sent has come
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for {
		m, err := s.Next(ctx)
		lost, isLost := errors.AsType[*fanfare.LostError](err)
		dropped, isDropped := errors.AsType[*fanfare.DroppedError](err)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return all
		case isLost:
			all = append(all, fmt.Sprintf("lost %s %s", lost.Reason, strings.Join(lost.Topics, ",")))
		case isDropped:
			all = append(all, fmt.Sprintf("dropped %d %s", dropped.Count, strings.Join(dropped.Topics, ",")))
		case err != nil:
			return append(all, err.Error())
		default:
			all = append(all, m.ID)
		}
	}
}

func expect(t *testing.T, s *fanfare.Subscription, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, read(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func topics(all ...string) fanfare.SubscribeOptions { return fanfare.SubscribeOptions{Topics: all} }

func since(id string, all ...string) fanfare.SubscribeOptions {
	return fanfare.SubscribeOptions{Topics: all, Since: id}
}

// TestMessagesOfSeveralSubscriptions: each gets its own, of what is live and of a replay, though no frame says whose it is.
func TestMessagesOfSeveralSubscriptions(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		live := subscribe(client, server, topics("a.>"), "e-10")
		other := subscribe(client, server, topics("b"), "e-10")
		replay := subscribe(client, server, since("e-5", "a.*", "*"), "e-5")
		server.message("a.x", "e-6", "e-8")
		server.message("a.x", "e-11") // live
		server.message("b", "e-9", "e-12")
		server.message("a.x", "e-11")
		server.message("b", "e-12")
		server.caughtUp("e-12")
		server.message("a.x", "e-13")
		expect(t, live, "e-11", "e-13")
		expect(t, other, "e-12")
		expect(t, replay, "e-6", "e-8", "e-9", "e-11", "e-12", "e-13")
	})
}

// TestUnsubscribe: what still comes for a subscription that was closed is given to nobody, and its pattern is free.
func TestUnsubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		first := subscribe(client, server, topics("a", "b"), "e-0")
		if _, err := client.Subscribe(t.Context(), topics("c", "a")); check(err, fanfare.CodeConflict) != nil {
			t.Errorf("the same pattern twice: %v", err)
		}
		server.message("a", "e-1")
		synctest.Wait()
		first.Close()
		leave := server.receive("unsubscribe")
		if !slices.Equal(leave.Topics, []string{"a", "b"}) {
			t.Errorf("it leaves %v", leave.Topics)
		}
		second := begin(t, client, since("e-0", "a"))
		again := server.receive("subscribe")
		server.message("a", "e-2") // of the first, on its way
		server.ack(leave, "e-2")
		server.ack(again, "e-0")
		replay := <-second
		server.message("a", "e-1")
		server.message("a", "e-2")
		server.caughtUp("e-2")
		expect(t, replay, "e-1", "e-2")
		expect(t, first, "fanfare: closed: closed")
		if cursor := first.Cursor(); cursor != "e-0" {
			t.Errorf("the cursor is %s, though nothing was read", cursor)
		}
	})
}

// TestLoopThatIsLeft unsubscribes.
func TestLoopThatIsLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a"), "e-0")
		server.message("a", "e-1", "e-2")
		for m, err := range subscription.Messages(t.Context()) {
			if err != nil || m.ID != "e-1" || subscription.Cursor() != "e-1" {
				t.Errorf("%v %v, the cursor is %s", m, err, subscription.Cursor())
			}
			break
		}
		server.receive("unsubscribe")
	})
}

// TestEndOfALoop: a context's end is said, as is the server's; what the program closes is not.
func TestEndOfALoop(t *testing.T) {
	type parts struct {
		leave        context.CancelFunc
		client       *fanfare.Client
		subscription *fanfare.Subscription
		server       *session
	}
	tests := map[string]struct {
		end  func(p parts)
		want string
	}{
		"the context":      {func(p parts) { p.leave() }, "context canceled"},
		"the server":       {func(p parts) { p.server.close(4501) }, "fanfare: disconnected: 4501 as the test says"},
		"the subscription": {func(p parts) { p.subscription.Close() }, ""},
		"the client":       {func(p parts) { p.client.Close() }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				client := f.connect(fanfare.Options{})
				server := f.next()
				subscription := subscribe(client, server, topics("a"), "e-0")
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				over := make(chan string)
				go func() {
					last := ""
					for _, err := range subscription.Messages(ctx) {
						last = fmt.Sprint(err)
					}
					over <- last
				}()
				synctest.Wait()
				tt.end(parts{leave, client, subscription, server})
				if got := <-over; got != tt.want {
					t.Errorf("it ended with %q, not %q", got, tt.want)
				}
			})
		})
	}
}

// TestSubscribeThatIsGivenUp is undone on the server.
func TestSubscribeThatIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := client.Subscribe(ctx, topics("a"))
			done <- err
		}()
		server := f.next()
		server.receive("subscribe")
		if err := <-done; check(err, fanfare.CodeTimeout) != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up with %v", err)
		}
		server.receive("unsubscribe")
	})
}

// TestRefusedSubscribe: for good is the end of it; for now, it is asked for again after a second or more, whatever
// becomes of the connection.
func TestRefusedSubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		done := make(chan error)
		go func() {
			_, err := client.Subscribe(t.Context(), topics("a"))
			done <- err
		}()
		request := server.receive("subscribe")
		for _, code := range []string{"rate_limited", "overloaded", "engine_unavailable", "internal", "shutting_down"} {
			server.refuse(request, code)
			refused := time.Now()
			if code == "shutting_down" {
				synctest.Wait()
				server.end()
				server = f.next()
			}
			request = server.afterPings()
			if pause := time.Since(refused); pause < time.Second {
				t.Errorf("asked again after %v", pause)
			}
		}
		server.refuse(request, "too_many_subscriptions")
		if err := check(<-done, "too_many_subscriptions"); err != nil {
			t.Error(err)
		}
		subscribe(client, server, topics("a"), "e-0") // the pattern is free
	})
}

// TestRefusedAgain: refusals of long ago do not make the pauses after new ones longer.
func TestRefusedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := begin(t, client, topics("a"))
		for range 5 {
			server.refuse(server.receive("subscribe"), "rate_limited")
		}
		server.ack(server.receive("subscribe"), "e-0")
		<-subscription
		server.end()
		server = f.next()
		server.refuse(server.receive("subscribe"), "rate_limited")
		refused := time.Now()
		server.receive("subscribe")
		if pause := time.Since(refused); pause > 2*time.Second {
			t.Errorf("a pause of %v", pause)
		}
	})
}

// TestSubscribeToTooMuch: the server would close the connection for it.
func TestSubscribeToTooMuch(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		_, err := client.Subscribe(t.Context(), topics(strings.Repeat("a", 200), strings.Repeat("b", 200)))
		if err := check(err, fanfare.CodePayloadTooLarge); err != nil {
			t.Error(err)
		}
		_, err = client.Subscribe(t.Context(), topics())
		if err := check(err, "invalid_topic"); err != nil {
			t.Error(err)
		}
		_, err = client.Subscribe(t.Context(), topics("a\xff"))
		if err := check(err, "invalid_topic"); err != nil {
			t.Error(err)
		}
		server.receive("ping")
	})
}

// TestUnsubscribeThatIsRefused: for now is asked for again; what is not there any more is left out.
func TestUnsubscribeThatIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a", "b"), "e-0")
		subscription.Close()
		server.refuse(server.receive("unsubscribe"), "rate_limited")
		leave := server.receive("unsubscribe")
		server.send(`{"type":"notice","code":"forbidden","topic":"a"}`)
		server.refuse(leave, "not_found")
		if leave = server.receive("unsubscribe"); !slices.Equal(leave.Topics, []string{"b"}) {
			t.Errorf("it leaves %v", leave.Topics)
		}
		server.ack(leave, "e-0")
		server.receive("ping")
	})
}

// TestUnsubscribeAfterANewSubscribe: what is left of an unsubscribe that came too late must not end what was asked for anew.
func TestUnsubscribeAfterANewSubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscribe(client, server, topics("a", "b"), "e-0").Close()
		leave := server.receive("unsubscribe")
		anew := begin(t, client, topics("b"))
		asked := server.receive("subscribe")
		server.send(`{"type":"notice","code":"forbidden","topic":"a"}`)
		server.refuse(leave, "not_found")
		synctest.Wait()
		server.ack(asked, "e-0")
		server.receive("ping")
		server.message("b", "e-1")
		expect(t, <-anew, "e-1")
	})
}

// TestForbiddenPattern: what a new token does not cover ends, with what waits for it, and is left as a whole.
func TestForbiddenPattern(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a", "b"), "e-0")
		other := subscribe(client, server, topics("c"), "e-0")
		server.message("a", "e-1")
		server.send(`{"type":"notice","code":"forbidden","topic":"a"}`)
		if leave := server.receive("unsubscribe"); !slices.Equal(leave.Topics, []string{"b"}) {
			t.Errorf("it leaves %v", leave.Topics)
		}
		server.message("c", "e-2")
		expect(t, subscription, "e-1", "fanfare: forbidden: a is not allowed any more")
		expect(t, other, "e-2")
		server.end()
		if again := f.next().receive("subscribe"); !slices.Equal(again.Topics, []string{"c"}) {
			t.Errorf("it comes back with %v", again.Topics)
		}
	})
}

// TestUnsubscribeThatWouldEndANewOne: it is not sent again while its pattern is asked for anew.
func TestUnsubscribeThatWouldEndANewOne(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscribe(client, server, topics("a"), "e-0").Close()
		server.refuse(server.receive("unsubscribe"), "rate_limited")
		anew := begin(t, client, topics("a"))
		asked := server.receive("subscribe")
		time.Sleep(10 * time.Second) // in which it would have been sent again
		server.ack(asked, "e-0")
		server.receive("ping")
		server.message("a", "e-1")
		expect(t, <-anew, "e-1")
	})
}

// TestResume: each subscription goes on from where it was: a live one from the last that was seen of the log, one in a
// replay from what that has brought, and one that was not answered from what it asked for.
func TestResume(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		live := subscribe(client, server, topics("live"), "e-10")
		replay := subscribe(client, server, since("all", "replay"), "e-0")
		last := subscribe(client, server, fanfare.SubscribeOptions{Topics: []string{"last"}, Last: 5}, "e-3")
		go func() {
			_, _ = client.Subscribe(t.Context(), fanfare.SubscribeOptions{Topics: []string{"unanswered"}, Last: 7})
		}()
		server.receive("subscribe")
		server.message("live", "e-11")
		server.message("replay", "e-1", "e-2")
		server.send(`{"type":"position","id":"e-20"}`)
		synctest.Wait()
		server.end()

		server = f.next()
		for _, want := range []frame{
			{Topics: []string{"live"}, Since: "e-20"}, {Topics: []string{"replay"}, Since: "e-2"},
			{Topics: []string{"last"}, Since: "e-3"}, {Topics: []string{"unanswered"}, Last: 7},
		} {
			got := server.receive("subscribe")
			if !slices.Equal(got.Topics, want.Topics) || got.Since != want.Since || got.Last != want.Last {
				t.Errorf("it comes back with %+v, not %+v", got, want)
			}
			server.recover(got, got.Since, true)
		}
		server.message("live", "e-11") // of the replay, and known
		server.message("live", "e-21")
		server.caughtUp("e-21")
		server.message("replay", "e-2", "e-3")
		server.caughtUp("e-22")
		server.message("last", "e-4")
		expect(t, live, "e-11", "e-21")
		expect(t, replay, "e-1", "e-2", "e-3")
		expect(t, last, "e-4")
		for _, s := range []struct {
			subscription *fanfare.Subscription
			want         string
		}{{live, "e-22"}, {replay, "e-22"}, {last, "e-4"}} {
			if cursor := s.subscription.Cursor(); cursor != s.want {
				t.Errorf("the cursor of %v is %s, not %s", s.subscription.Topics(), cursor, s.want)
			}
		}
	})
}

// TestCursorThatWasRead: what waits for the reader does not take the cursor back behind where it was.
func TestCursorThatWasRead(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a"), "e-0")
		server.send(`{"type":"position","id":"e-50"}`)
		synctest.Wait()
		for range 2 {
			if cursor := subscription.Cursor(); cursor != "e-50" {
				t.Errorf("the cursor is %s", cursor)
			}
			server.message("a", "e-51")
			synctest.Wait()
		}
		expect(t, subscription, "e-51")
		if cursor := subscription.Cursor(); cursor != "e-51" {
			t.Errorf("the cursor is %s, all read", cursor)
		}
	})
}

// TestLosses: each is told once, before the message that comes after it, and what is of another log counts as new.
func TestLosses(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a", "b"), "e-10")
		server.message("a", "e-11")
		synctest.Wait()
		server.end()

		server = f.next()
		server.recover(server.receive("subscribe"), "new-0", false)
		server.end() // the loss waits for the reader, and is told once
		server = f.next()
		again := server.receive("subscribe")
		if again.Since != "new-0" {
			t.Errorf("it comes back with %s", again.Since)
		}
		server.recover(again, "new-0", false)
		server.message("a", "new-1", "new-2")
		server.send(`{"type":"notice","code":"gap","topic":"a"}`, `{"type":"notice","code":"gap","topic":"b"}`)
		server.message("a", "new-5")
		server.caughtUp("new-5")
		server.send(`{"type":"notice","code":"dropped","topic":"b","count":7}`)
		server.message("a", "new-6")
		expect(t, subscription, "e-11", "lost resume a,b", "new-1", "new-2", "lost gap a,b", "new-5", "dropped 7 b", "new-6")
	})
}

// TestSlowReader: a subscription whose reader does not keep up rests, and goes on from where it was.
func TestSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, fanfare.SubscribeOptions{Topics: []string{"a"}, Buffer: 4}, "e-0")
		server.message("a", "e-1", "e-2", "e-3", "e-4", "e-5")
		server.ack(server.receive("unsubscribe"), "e-5")
		if cursor := subscription.Cursor(); cursor != "e-0" {
			t.Errorf("the cursor is %s, though nothing was read", cursor)
		}
		server.end() // it rests, whatever becomes of the connection
		server = f.next()
		for range 2 {
			if _, err := subscription.Next(t.Context()); err != nil {
				t.Error(err)
			}
		}
		again := server.receive("subscribe")
		if again.Since != "e-4" {
			t.Errorf("it goes on from %s", again.Since)
		}
		server.recover(again, "e-4", true)
		server.message("a", "e-5", "e-6") // a replay rests, too
		server.receive("unsubscribe")
		expect(t, subscription, "e-3", "e-4", "e-5", "e-6")
		if again := server.receive("subscribe"); again.Since != "e-6" {
			t.Errorf("it goes on from %s", again.Since)
		}
	})
}

// TestOverflow: what is live may be dropped, if the program says so; what was asked for of the past may not.
func TestOverflow(t *testing.T) {
	tests := map[string]struct {
		overflow fanfare.Overflow
		replay   []string
		live     []string // with their topics
		want     []string
	}{
		"drop the oldest":            {fanfare.OverflowDropOldest, nil, []string{"a 1", "a 2", "b 3", "a 4", "a 5"}, []string{"dropped 2 a,b", "e-3", "e-4", "e-5"}},
		"but not of a replay":        {fanfare.OverflowDropOldest, []string{"e-1", "e-2"}, []string{"a 3", "a 4", "a 5"}, []string{"e-1", "e-2", "dropped 2 a,b", "e-5"}},
		"the latest":                 {fanfare.OverflowLatest, nil, []string{"a 1", "b 2", "a 3", "b 4", "b 5"}, []string{"e-3", "e-5"}},
		"the latest, after a replay": {fanfare.OverflowLatest, []string{"e-1"}, []string{"a 2", "a 3"}, []string{"e-1", "e-3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				client := f.connect(fanfare.Options{})
				server := f.next()
				subscription := subscribe(client, server, fanfare.SubscribeOptions{
					Topics: []string{"a", "b"}, Since: "e-0", Overflow: tt.overflow, Buffer: 3,
				}, "e-0")
				server.message("a", tt.replay...)
				server.caughtUp("e-0")
				for _, m := range tt.live {
					topic, n, _ := strings.Cut(m, " ")
					server.message(topic, "e-"+n)
				}
				expect(t, subscription, tt.want...)
				server.receive("ping") // it did not leave
			})
		})
	}
}

// TestOverflowWithoutAnythingToDrop: more topics than may wait, or a replay, rest like any other.
func TestOverflowWithoutAnythingToDrop(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, fanfare.SubscribeOptions{
			Topics: []string{">"}, Overflow: fanfare.OverflowLatest, Buffer: 2,
		}, "e-0")
		server.message("a", "e-1")
		server.message("b", "e-2")
		server.message("c", "e-3")
		server.receive("unsubscribe")
		expect(t, subscription, "e-1", "e-2", "e-3")
		if again := server.receive("subscribe"); again.Since != "e-3" || again.Overflow != "latest" {
			t.Errorf("it goes on with %+v", again)
		}
	})
}

// TestOverflowInAReplay: when it comes back, what waits is not dropped for what it missed.
func TestOverflowInAReplay(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, fanfare.SubscribeOptions{
			Topics: []string{"a"}, Overflow: fanfare.OverflowDropOldest, Buffer: 2,
		}, "e-0")
		server.message("a", "e-1", "e-2")
		synctest.Wait()
		server.end()
		server = f.next()
		server.recover(server.receive("subscribe"), "e-2", true)
		server.message("a", "e-3")
		server.receive("unsubscribe")
		expect(t, subscription, "e-1", "e-2", "e-3")
	})
}

// TestCallbacks: they are called between the messages, by who reads.
func TestCallbacks(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		var told []string
		subscription := subscribe(client, server, fanfare.SubscribeOptions{
			Topics: []string{"room.*"}, Since: "all",
			OnCaughtUp: func() { told = append(told, "caught up") },
			OnPresence: func(e fanfare.PresenceEvent) {
				text := fmt.Sprint(e.Kind, " ", e.Topic)
				for _, m := range e.Members {
					text += " " + m.ClientID + m.User
				}
				told = append(told, text)
			},
		}, "e-0")
		server.message("room.1", "e-1")
		server.send(`{"type":"presence","topic":"room.1","clients":[{"client_id":"1","user":"ada"},{"client_id":"2"}]}`)
		server.caughtUp("e-1")
		server.send(`{"type":"join","topic":"room.2","client_id":"3","user":"bob"}`, `{"type":"leave","topic":"room.1","client_id":"2"}`,
			`{"type":"join","topic":"hall","client_id":"4"}`, `{"type":"notice","code":"incomplete","topic":"room.*"}`)
		synctest.Wait()
		if len(told) > 0 {
			t.Errorf("told before anybody reads: %v", told)
		}
		expect(t, subscription, "e-1")
		want := []string{"presence room.1 1ada 2", "caught up", "join room.2 3bob", "leave room.1 2", "incomplete room.*"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestFloodOfPresence: a reader that does not keep up with who comes and goes has the subscription rest, too, and is told
// the members anew.
func TestFloodOfPresence(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		told := 0
		subscription := subscribe(client, server, fanfare.SubscribeOptions{
			Topics: []string{"a"}, Buffer: 2, OnPresence: func(fanfare.PresenceEvent) { told++ },
		}, "e-5")
		join := `{"type":"join","topic":"a","client_id":"1"}`
		server.send(join, join, join)
		server.ack(server.receive("unsubscribe"), "e-5")
		expect(t, subscription)
		if again := server.receive("subscribe"); again.Since != "e-5" || !again.Presence || told != 2 {
			t.Errorf("%d were told, and it goes on with %+v", told, again)
		}
	})
}

func TestData(t *testing.T) {
	var text string
	if err := (fanfare.Message{Data: []byte(`"a"`)}).Decode(&text); err != nil || text != "a" {
		t.Errorf("%q %v", text, err)
	}
	tests := map[string]struct {
		data, encoding, want string
	}{
		"JSON":             {`{"n":1}`, "", `{"n":1}`},
		"bytes":            {`"AAE="`, "base64", "\x00\x01"},
		"no base64":        {`"!"`, "base64", ""},
		"no text":          {`1`, "base64", ""},
		"another encoding": {`"AAE="`, "zip", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fanfare.Message{Data: []byte(tt.data), Encoding: tt.encoding}.Bytes()
			if string(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

// TestAttributes: what a message carries beside its data comes as it is.
func TestAttributes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, topics("a"), "e-5")
		const trace, event = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
		server.send(`{"type":"message","id":"e-6","topic":"a","data":1,"time":"2026-11-23T17:45:01.250Z","traceparent":"` + trace + `","tracestate":"a=1","event":` + event + `}`)
		m, err := subscription.Next(t.Context())
		if err != nil || m.TraceParent != trace || m.TraceState != "a=1" || string(m.Event) != event {
			t.Errorf("%+v, %v", m, err)
		}
	})
}
