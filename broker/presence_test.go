package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// watch subscribes a client to patterns, with presence.
func (s *service) watch(c *broker.Client, patterns ...models.Pattern) {
	s.t.Helper()
	options := models.SubscribeOptions{Presence: true}
	if err := s.Subscribe(s.t.Context(), models.Caller{}, c, patterns, options, models.Ack{Type: "ack"}); err != nil {
		s.t.Fatal(err)
	}
}

// member connects a user who is subscribed to patterns.
func (s *service) member(user string, patterns ...models.Pattern) (*broker.Client, *pipe) {
	s.t.Helper()
	conn := newPipe(s.t)
	c, err := s.AddClient(s.t.Context(), models.Caller{User: user}, conn, models.Connection{})
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		conn.awaitClose()
		s.RemoveClient(c, models.CloseAbnormal)
	}()
	conn.want("welcome")
	s.subscribe(c, patterns...)
	conn.want("ack")
	return c, conn
}

// wantMembers takes the next frame, which lists the members of a topic in order.
func (p *pipe) wantMembers(topic string, members ...*broker.Client) {
	p.t.Helper()
	l := p.want("presence")
	want := []models.Member{}
	for _, c := range members {
		want = append(want, models.Member{ClientID: c.ID(), User: c.Caller().User})
	}
	if diff := cmp.Diff(want, l.Clients); diff != "" || l.Topic != topic || l.Next != "" {
		p.t.Fatalf("members of %s, want %s; next %q (-want +got):\n%s", l.Topic, topic, l.Next, diff)
	}
}

// wantChange takes the next frame, which says who has joined or left.
func (p *pipe) wantChange(kind, topic string, member *broker.Client) {
	p.t.Helper()
	if l := p.want(kind); l.Topic != topic || l.ClientID != member.ID() || l.User != member.Caller().User {
		p.t.Fatalf("%+v, want %s of %s in %s", l, kind, member.ID(), topic)
	}
}

// wantNothing checks that nothing is on its way to a client.
func (s *service) wantNothing(c *broker.Client, conn *pipe) {
	s.t.Helper()
	if err := s.Send(s.t.Context(), c, models.NewPong(nil)); err != nil {
		s.t.Fatal(err)
	}
	conn.want("pong")
}

// TestPresence: first the members, then who joins and leaves, whatever the way.
func TestPresence(t *testing.T) {
	s := start(t, defaults())
	ada, _ := s.member("ada", "room.1")
	bob, bobs := s.member("bob", "room.2", "room.1")
	c, conn := s.comer()
	s.watch(c, "room.1")
	conn.want("ack")
	conn.wantMembers("room.1", ada, bob, c)

	eve, _ := s.member("eve", "room.1")
	conn.wantChange("join", "room.1", eve)
	s.unsubscribe(bob, "room.1")
	bobs.want("ack")
	conn.wantChange("leave", "room.1", bob)
	s.RemoveClient(ada, models.CloseAbnormal)
	conn.wantChange("leave", "room.1", ada)
	if err := s.Disconnect(t.Context(), models.Caller{}, eve.ID(), models.CloseDisconnected); err != nil {
		t.Fatal(err)
	}
	conn.wantChange("leave", "room.1", eve)
	s.subscribe(bob, "room.1")
	conn.wantChange("join", "room.1", bob)

	// Others' rooms are no news, and the messages come as ever.
	s.member("", "room.2", "room.1.a", "room")
	conn.wantMessages(s.publishTo("room.1")...)
	// Who does not watch is told nothing.
	bobs.want("ack")
	bobs.want("message")
	s.wantNothing(bob, bobs)

	// Who leaves the room watches no more.
	s.unsubscribe(c, "room.1")
	conn.want("ack")
	s.member("", "room.1")
	s.wantNothing(c, conn)
}

// TestMembersAreClients: a client that is subscribed twice, or by several patterns, is one
// member, and one that is subscribed by a wildcard alone is none.
func TestMembersAreClients(t *testing.T) {
	s := start(t, defaults())
	watcher, conn := s.comer()
	s.watch(watcher, "room.1", "*.1", ">")
	conn.want("ack")
	conn.wantMembers("room.1", watcher)
	conn.wantMembers("room.1", watcher)
	conn.wantMembers("room.1", watcher)

	c, own := s.member("ada", "room.1", "room.*", "room.1")
	conn.wantChange("join", "room.1", c)
	s.subscribe(c, "room.1")
	s.subscribe(c, ">", "room.1")
	s.subscribeFrom(everything(), c, "room.1")
	s.unsubscribe(c, ">")
	s.wantNothing(watcher, conn)
	page, err := s.Members(t.Context(), models.Caller{}, "room.1", models.Page{Limit: 10})
	if err != nil || len(page.Clients) != 2 || page.Next != "" {
		t.Errorf("members %+v, %v", page, err)
	}
	s.unsubscribe(c, "room.1")
	conn.wantChange("leave", "room.1", c)
	s.unsubscribe(c, "room.*")
	s.RemoveClient(c, models.CloseAbnormal)
	own.awaitClose()
	s.wantNothing(watcher, conn)
}

// TestWatchingByWildcards: each topic that has members is listed, and each that gets some
// is told of, also to a client that is no member of any.
func TestWatchingByWildcards(t *testing.T) {
	s := start(t, defaults())
	ada, _ := s.member("ada", "room.1", "room.3", "room.30.a", "roof.1", "other")
	bob, _ := s.member("bob", "room.3", "room.*")
	c, conn := s.comer()
	s.watch(c, "room.*")
	conn.want("ack")
	conn.wantMembers("room.1", ada)
	conn.wantMembers("room.3", ada, bob)
	s.wantNothing(c, conn)
	s.watch(c, "*.1")
	conn.want("ack")
	conn.wantMembers("roof.1", ada)
	conn.wantMembers("room.1", ada)
	s.watch(c, "none.>")
	conn.want("ack")
	s.wantNothing(c, conn)

	eve, _ := s.member("eve", "none.a", "room.2", "room.1")
	// Told once of each, although two patterns match room.1.
	conn.wantChange("join", "none.a", eve)
	conn.wantChange("join", "room.2", eve)
	conn.wantChange("join", "room.1", eve)
	s.wantNothing(c, conn)
	if page, err := s.Members(t.Context(), models.Caller{}, "room.*", models.Page{Limit: 10}); err != nil || len(page.Clients) != 0 {
		t.Errorf("a pattern has members: %+v, %v", page, err)
	}
}

// TestWatchingEnds: to subscribe again without presence is to watch no more; with it, the
// members come again.
func TestWatchingEnds(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.comer()
	s.watch(c, "a", "b")
	conn.want("ack")
	conn.wantMembers("a", c)
	conn.wantMembers("b", c)
	s.subscribe(c, "a")
	conn.want("ack")
	ada, _ := s.member("ada", "a", "b")
	conn.wantChange("join", "b", ada)
	s.watch(c, "a")
	conn.want("ack")
	conn.wantMembers("a", c, ada)
	s.watch(c, "a")
	conn.want("ack")
	conn.wantMembers("a", c, ada)
	s.RemoveClient(ada, models.CloseAbnormal)
	got := map[string]bool{conn.want("leave").Topic: true, conn.want("leave").Topic: true}
	if !got["a"] || !got["b"] {
		t.Errorf("left %v", got)
	}
	s.wantNothing(c, conn)
}

// TestPresenceWithAReplay: the members come all the same, and who joins during the replay
// is told of.
func TestPresenceWithAReplay(t *testing.T) {
	s := start(t, defaults())
	past := s.publishTo("a", "a")
	c, conn := s.comer()
	options := models.SubscribeOptions{Presence: true, Start: everything()}
	if err := s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, options, models.Ack{Type: "ack"}); err != nil {
		t.Fatal(err)
	}
	ada, _ := s.member("ada", "a")
	got := make(map[string]int)
	conn.want("ack")
	var messages []models.ID
	for range 5 {
		l := conn.next()
		got[l.Type]++
		if l.Type == "message" {
			messages = append(messages, l.ID)
		}
		if l.Type == "join" && l.ClientID != ada.ID() {
			t.Errorf("%s joined", l.ClientID)
		}
	}
	want := map[string]int{"presence": 1, "message": 2, "caught_up": 1, "join": 1}
	if diff := cmp.Diff(want, got); diff != "" || messages[0] != past[0].ID || messages[1] != past[1].ID {
		t.Errorf("messages %v (-want +got):\n%s", messages, diff)
	}
}

// TestManyMembers: they are paged in the order of their ids, and the frames that answer a
// subscribe have a thousand of them in all.
func TestManyMembers(t *testing.T) {
	const members = 1005
	s := start(t, defaults())
	var ids []string
	for i := range members {
		c, err := s.AddClient(t.Context(), models.Caller{User: fmt.Sprint(i)}, nowhere{}, models.Connection{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.RemoveClient(c, models.CloseAbnormal)
		s.subscribe(c, "room")
		if i < 2 {
			s.subscribe(c, "small")
		}
		ids = append(ids, c.ID())
	}
	var got []string
	page := models.Page{Limit: 100}
	for pages := 1; ; pages++ {
		of, err := s.Members(t.Context(), models.Caller{}, "room", page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range of.Clients {
			got = append(got, m.ClientID)
		}
		if page.After = of.Next; of.Next == "" {
			if pages != 11 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	for after, want := range map[string]int{"": 10, "0": 10, "zzz": 0, ids[members-1]: 0, ids[members-3]: 2} {
		of, err := s.Members(t.Context(), models.Caller{}, "room", models.Page{Limit: 10, After: after})
		if err != nil || len(of.Clients) != want {
			t.Errorf("%d members after %q, want %d: %v", len(of.Clients), after, want, err)
		}
	}

	c, conn := s.comer()
	s.watch(c, "small", "room", "empty")
	conn.want("ack")
	if l := conn.want("presence"); l.Topic != "small" || len(l.Clients) != 3 || l.Next != "" {
		t.Errorf("%d of %s, next %q", len(l.Clients), l.Topic, l.Next)
	}
	l := conn.want("presence")
	if l.Topic != "room" || len(l.Clients) != 997 || l.Next != ids[996] {
		t.Errorf("%d of %s, next %q", len(l.Clients), l.Topic, l.Next)
	}
	if n := conn.want("notice"); n.Code != "incomplete" || n.Topic != "empty" {
		t.Errorf("there is no room for another topic, and the notice is %+v", n)
	}
	s.watch(c, ">")
	conn.want("ack")
	if l := conn.want("presence"); l.Topic != "empty" || len(l.Clients) != 1 {
		t.Errorf("%d of %s", len(l.Clients), l.Topic)
	}
	if l = conn.want("presence"); l.Topic != "room" || len(l.Clients) != 999 || l.Next == "" {
		t.Errorf("%d of %s, next %q", len(l.Clients), l.Topic, l.Next)
	}
	if n := conn.want("notice"); n.Code != "incomplete" || n.Topic != ">" {
		t.Errorf("there is no room for another topic, and the notice is %+v", n)
	}
	s.wantNothing(c, conn)
}

// TestPresenceUnderChurn: whenever one begins to watch, the members of that moment and
// what is told since make the members of the end: no change is lost in between.
func TestPresenceUnderChurn(t *testing.T) {
	const churners, watchers = 8, 40
	s := start(t, defaults())
	stop := make(chan struct{})
	var churning, watching sync.WaitGroup
	for i := range churners {
		churning.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3)) //nolint:gosec // a test's chance
			for {
				c, _ := s.member("", "lobby")
				for range random.IntN(5) {
					room := models.Pattern(fmt.Sprintf("room.%d", random.IntN(3)))
					s.subscribe(c, room)
					if random.IntN(2) == 0 {
						s.unsubscribe(c, room)
					}
				}
				select {
				case <-stop:
					return // and stays
				default:
					s.RemoveClient(c, models.CloseAbnormal)
				}
			}
		})
	}
	conns := make([]*pipe, watchers)
	clients := make([]*broker.Client, watchers)
	for i := range watchers {
		watching.Go(func() {
			clients[i], conns[i] = s.comer()
			patterns := []models.Pattern{"room.0", "room.*", "lobby", ">"}
			for range 3 {
				s.watch(clients[i], patterns[i%len(patterns)])
			}
		})
	}
	watching.Wait()
	close(stop)
	churning.Wait()

	for i, conn := range conns {
		if err := s.Send(t.Context(), clients[i], models.NewPong(nil)); err != nil {
			t.Fatal(err)
		}
		view := make(map[string]map[string]bool) // members by topic
		for l := conn.next(); l.Type != "pong"; l = conn.next() {
			switch l.Type {
			case "presence":
				view[l.Topic] = make(map[string]bool)
				for _, m := range l.Clients {
					view[l.Topic][m.ClientID] = true
				}
			case "join":
				if view[l.Topic] == nil {
					view[l.Topic] = make(map[string]bool)
				}
				view[l.Topic][l.ClientID] = true
			case "leave":
				delete(view[l.Topic], l.ClientID)
			case "ack":
			default:
				t.Fatalf("frame %+v", l)
			}
		}
		for _, topic := range []models.Topic{"room.0", "room.1", "room.2", "lobby"} {
			if !clients[i].Info().Subscriptions[0].Matches(topic) {
				continue
			}
			page, err := s.Members(t.Context(), models.Caller{}, topic, models.Page{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, m := range page.Clients {
				want = append(want, m.ClientID)
			}
			for id := range view[string(topic)] {
				got = append(got, id)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("watcher %d of %s (-want +got):\n%s", i, topic, diff)
			}
		}
	}
}
