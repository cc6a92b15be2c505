package broker_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// soon is a time within which every difference between nodes is found: two renewals, and a
// question that nobody answers.
const soon = 10 * time.Second

// onlooker is who watches, and believes what it is told.
type onlooker struct {
	*pipe
	client *broker.Client
	// believes has the users by client, by topic.
	believes map[string]map[string]string
	// unreachable is what the last presence said, and joins and leaves count the others.
	unreachable   []string
	joins, leaves int
}

func (n *joint) onlooker(patterns ...models.Pattern) *onlooker {
	n.t.Helper()
	o := &onlooker{believes: make(map[string]map[string]string)}
	o.client, o.pipe = n.comer()
	n.watch(o.client, patterns...)
	return o
}

// catchUp takes all that has come.
func (o *onlooker) catchUp() {
	o.t.Helper()
	o.mu.Lock()
	lines := o.lines
	o.lines = nil
	o.mu.Unlock()
	for _, l := range lines {
		of := o.believes[l.Topic]
		if of == nil {
			of = make(map[string]string)
		}
		switch l.Type {
		case "presence":
			of, o.unreachable = make(map[string]string), l.Unreachable
			for _, m := range l.Clients {
				of[m.ClientID] = m.User
			}
		case "join":
			o.joins++
			of[l.ClientID] = l.User
		case "leave":
			o.leaves++
			delete(of, l.ClientID)
		case "ack", "ping", "pong":
			continue
		default:
			o.t.Errorf("frame %+v", l)
		}
		o.believes[l.Topic] = of
	}
}

// wantSeen checks that an onlooker believes what is so.
func (o *onlooker) wantSeen(topic string, members ...*broker.Client) {
	o.t.Helper()
	synctest.Wait()
	o.catchUp()
	want := make(map[string]string)
	for _, c := range members {
		want[c.ID()] = c.Caller().User
	}
	got := o.believes[topic]
	if got == nil {
		got = map[string]string{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		o.t.Errorf("who is in %s (-want +got):\n%s", topic, diff)
	}
}

// TestPresenceOfAllNodes: first the members on all nodes, then who joins and leaves on any.
func TestPresenceOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c")
		a, b := nodes[0], nodes[1]
		ada, _ := a.member("ada", "room.1")
		bob, _ := b.member("bob", "room.1", "room.2", "other")
		eve, _ := nodes[2].member("eve", "room.1")

		c, conn := a.comer()
		a.watch(c, "room.1")
		conn.want("ack")
		conn.wantMembers("room.1", ada, bob, eve, c)
		synctest.Wait()
		a.wantNothing(c, conn)

		wild, conns := a.comer()
		a.watch(wild, "room.*")
		conns.want("ack")
		conns.wantMembers("room.1", ada, bob, eve, c)
		conns.wantMembers("room.2", bob)
		synctest.Wait()
		a.wantNothing(wild, conns)

		// Whatever the way in which they come and go, each is told once.
		b.unsubscribe(bob, "room.1")
		conn.wantChange("leave", "room.1", bob)
		conns.wantChange("leave", "room.1", bob)
		b.subscribe(bob, "room.1")
		conn.wantChange("join", "room.1", bob)
		conns.wantChange("join", "room.1", bob)
		if err := nodes[2].Renew(t.Context(), models.Caller{User: "eva", Scopes: &models.Scopes{Subscribe: []models.Pattern{">"}}}, eve, models.Ack{}); err != nil {
			t.Fatal(err)
		}
		if l := conn.want("leave"); l.User != "eve" || l.ClientID != eve.ID() {
			t.Errorf("%+v", l)
		}
		conn.wantChange("join", "room.1", eve)
		b.RemoveClient(bob, models.CloseAbnormal)
		conn.wantChange("leave", "room.1", bob)
		if err := a.Disconnect(t.Context(), models.Caller{}, eve.ID(), models.CloseDisconnected); err != nil {
			t.Fatal(err)
		}
		conn.wantChange("leave", "room.1", eve)
		synctest.Wait()
		a.wantNothing(c, conn)

		// Who watches later on has them, too.
		zoe, _ := b.member("zoe", "room.1")
		synctest.Wait()
		o := a.onlooker("room.1")
		o.wantSeen("room.1", ada, c, zoe, o.client)
		o.joins, o.leaves = 0, 0
		time.Sleep(soon)
		o.catchUp()
		if o.joins+o.leaves > 0 {
			t.Error("it is told of changes, and there are none")
		}
	})
}

// TestPresenceCostsWhereItIsWatched: a node asks and tells because of presence only while
// somebody watches.
func TestPresenceCostsWhereItIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c")
		said := func() (all []int) {
			for _, n := range nodes {
				questions, notices := n.engine.Said()
				all = append(all, questions, notices)
			}
			return all
		}
		churn := func() {
			for _, n := range nodes {
				c, _ := n.member("ada", "room.1", "room.2")
				n.RemoveClient(c, models.CloseAbnormal)
			}
			time.Sleep(time.Minute)
		}
		churn()
		if diff := cmp.Diff([]int{0, 0, 0, 0, 0, 0}, said()); diff != "" {
			t.Errorf("nobody watches (-want +got):\n%s", diff)
		}
		o := nodes[0].onlooker("room.1")
		p := nodes[0].onlooker("room.1", "room.1")
		churn()
		got := said()
		if got[0] == 0 || got[1] != 0 || got[2] != 0 || got[3] == 0 || got[4] != 0 || got[5] == 0 {
			t.Errorf("one node watches, and this is said: %v", got)
		}
		nodes[0].subscribe(o.client, "room.1")
		churn()
		before := said()
		if before[3] == got[3] {
			t.Error("one still watches, and is told nothing")
		}
		nodes[0].RemoveClient(p.client, models.CloseAbnormal)
		synctest.Wait()
		before = said()
		churn()
		if diff := cmp.Diff(before, said()); diff != "" {
			t.Errorf("nobody watches any more (-want +got):\n%s", diff)
		}
	})
}

// TestNodesComeLater: who watches is told of the members of a node that came later.
func TestNodesComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, nodes := foundCluster(t, "a")
		o := nodes[0].onlooker("room.*")
		b := startNode(t, cluster, "b")
		ada, _ := b.member("ada", "room.1")
		o.wantSeen("room.1", ada)
		bob, _ := b.member("bob", "room.1")
		o.wantSeen("room.1", ada, bob)
	})
}

// TestDeathEndsPresence: who was connected to a node that is dead has left, also for those who
// watch later; and is there again if the node was only out of reach.
func TestDeathEndsPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c")
		ada, _ := nodes[0].member("ada", "room")
		bob, _ := nodes[1].member("bob", "room")
		eve, _ := nodes[2].member("eve", "room")
		o, dead := nodes[0].onlooker("room"), nodes[1].onlooker("room")
		o.wantSeen("room", ada, bob, eve, o.client, dead.client)
		nodes[1].engine.Cut()
		nodes[1].engine.Bury()
		o.wantSeen("room", ada, eve, o.client)
		dead.wantSeen("room", bob, dead.client)
		if o.leaves != 2 {
			t.Errorf("%d leaves", o.leaves)
		}
		p := nodes[2].onlooker("room")
		p.wantSeen("room", ada, eve, o.client, p.client)
		if p.unreachable != nil {
			t.Errorf("without %v", p.unreachable)
		}

		synctest.Wait()
		_, before := nodes[0].engine.Said()
		nodes[0].unsubscribe(ada, "room")
		nodes[0].subscribe(ada, "room")
		synctest.Wait()
		if _, after := nodes[0].engine.Said(); after != before+2 && after != before+1 {
			t.Errorf("%d notices, with one other node that watches", after-before)
		}

		nodes[1].unsubscribe(bob, "room")
		zoe, _ := nodes[1].member("zoe", "room")
		nodes[1].engine.Heal()
		all := []*broker.Client{ada, eve, zoe, o.client, p.client, dead.client}
		o.wantSeen("room", all...)
		p.wantSeen("room", all...)
		dead.wantSeen("room", all...)
	})
}

// TestLeavingEndsPresence: to go in order is no different.
func TestLeavingEndsPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, nodes := foundCluster(t, "a")
		o := nodes[0].onlooker("room")
		p, err := broker.New(t.Context(), cluster.Node("b"), defaults())
		if err != nil {
			t.Fatal(err)
		}
		b := &service{p, t}
		ada, _ := b.member("ada", "room")
		o.wantSeen("room", ada, o.client)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.wantSeen("room", o.client)
		if clients, missing := nodes[0].allClients(models.ClientFilter{Page: models.Page{Limit: 9}}); len(clients) != 1 || missing != nil {
			t.Errorf("%d clients, without %v", len(clients), missing)
		}
	})
}

// TestNoticesGetLost: whoever has joined or left is told of in the end.
func TestNoticesGetLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b")
		a, b := nodes[0], nodes[1]
		o := a.onlooker("room", "*")
		ada, _ := b.member("ada", "room")
		o.wantSeen("room", ada, o.client)

		// The next one tells.
		a.engine.Lose(1)
		bob, _ := b.member("bob", "room")
		o.wantSeen("room", ada, o.client)
		b.unsubscribe(ada, "room")
		o.wantSeen("room", bob, o.client)

		// There is no next one.
		a.engine.Lose(2)
		eve, _ := b.member("eve", "room")
		synctest.Wait()
		b.unsubscribe(bob, "room")
		o.wantSeen("room", bob, o.client)
		time.Sleep(soon)
		o.wantSeen("room", eve, o.client)

		// Late is not lost.
		a.engine.Hold()
		b.subscribe(ada, "room")
		b.unsubscribe(eve, "room")
		b.subscribe(eve, "room")
		b.unsubscribe(eve, "room")
		synctest.Wait()
		p := a.onlooker("room.*", "room")
		p.wantSeen("room", eve, o.client, p.client)
		a.engine.Release()
		o.wantSeen("room", ada, o.client, p.client)
		p.wantSeen("room", ada, o.client, p.client)
	})
}

// TestForgottenWatches: a node that took a watcher for dead, which knows nothing of it, is asked
// anew.
func TestForgottenWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b")
		o := nodes[0].onlooker("room")
		nodes[1].engine.Miss(nodes[0].engine)
		synctest.Wait()
		ada, _ := nodes[1].member("ada", "room")
		o.wantSeen("room", o.client)
		time.Sleep(soon)
		o.wantSeen("room", ada, o.client)
	})
}

// TestLateQuestions: one that comes when nobody waits for its answer any more, and others have
// been asked since, changes nothing.
func TestLateQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b")
		nodes[1].engine.Slow(7 * time.Second)
		o := nodes[0].onlooker("room")
		nodes[1].engine.Slow(0)
		time.Sleep(4 * time.Second) // a renewal has begun again
		o.wantSeen("room", o.client)
		ada, _ := nodes[1].member("ada", "room")
		o.wantSeen("room", ada, o.client)
		time.Sleep(2 * time.Second) // the first question has come
		bob, _ := nodes[1].member("bob", "room")
		o.wantSeen("room", ada, bob, o.client)
	})
}

// TestLateNoticesOfAnEarlierWatch: what a node tells of a pattern that was given up meanwhile and
// taken up again is not taken for news.
func TestLateNoticesOfAnEarlierWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b")
		a, b := nodes[0], nodes[1]
		a.onlooker("other")
		first := a.onlooker("room")
		ada, _ := b.member("ada", "other")
		synctest.Wait()
		a.engine.Hold()
		b.subscribe(ada, "room")
		synctest.Wait()
		a.RemoveClient(first.client, models.CloseAbnormal)
		synctest.Wait()
		b.unsubscribe(ada, "room")
		o := a.onlooker("room")
		a.engine.Release()
		o.wantSeen("room", o.client)
	})
}

// TestWatchingWithoutANode: a node that does not answer is named, within the deadline, and its
// members come as soon as it does.
func TestWatchingWithoutANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c")
		a, b := nodes[0], nodes[1]
		ada, _ := a.member("ada", "room")
		bob, _ := b.member("bob", "room")
		eve, _ := nodes[2].member("eve", "room")
		b.engine.Cut()
		begin := time.Now()
		o := a.onlooker("room", "empty")
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		o.wantSeen("room", ada, eve, o.client)
		if !slices.Equal(o.unreachable, []string{"b"}) {
			t.Errorf("without %v", o.unreachable)
		}
		// The next one need not wait for what is known, nor ask again.
		begin = time.Now()
		asked, _ := a.engine.Said()
		p := a.onlooker("room", "new")
		if took := time.Since(begin); took > 0 {
			t.Errorf("the second one took %v", took)
		}
		synctest.Wait()
		if again, _ := a.engine.Said(); again != asked+1 { // to c
			t.Errorf("%d more questions", again-asked)
		}
		p.wantSeen("room", ada, eve, o.client, p.client)
		if !slices.Equal(p.unreachable, []string{"b"}) {
			t.Errorf("without %v", p.unreachable)
		}
		page, err := a.Members(t.Context(), models.Caller{}, "room", models.Page{Limit: 10})
		if err != nil || len(page.Clients) != 4 || !slices.Equal(page.Unreachable, []string{"b"}) {
			t.Errorf("%+v, %v", page, err)
		}

		b.engine.Heal()
		time.Sleep(soon)
		o.wantSeen("room", ada, bob, eve, o.client, p.client)
		p.wantSeen("room", ada, bob, eve, o.client, p.client)
		if o.joins != 2 {
			t.Errorf("%d joins", o.joins)
		}

		// Out of reach for a moment: what it had is still so.
		b.engine.Cut()
		b.unsubscribe(bob, "room")
		time.Sleep(soon)
		o.wantSeen("room", ada, bob, eve, o.client, p.client)
		b.engine.Heal()
		time.Sleep(soon)
		o.wantSeen("room", ada, eve, o.client, p.client)
		if o.leaves != 1 {
			t.Errorf("%d leaves", o.leaves)
		}
	})
}

// TestManyPatterns: there are more than one question has room for.
func TestManyPatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rooms = 350
		nodes := startCluster(t, "a", "b")
		var patterns []models.Pattern
		for i := range rooms {
			patterns = append(patterns, models.Pattern(fmt.Sprintf("room.%d", i)))
		}
		ada, _ := nodes[1].member("ada", patterns...)
		o := nodes[0].onlooker(patterns...)
		for i := range rooms {
			o.wantSeen(fmt.Sprintf("room.%d", i), ada, o.client)
		}
		nodes[0].unsubscribe(o.client, patterns[:rooms-1]...)
		nodes[0].watch(o.client, patterns[100:150]...)
		nodes[1].RemoveClient(ada, models.CloseAbnormal)
		o.wantSeen("room.120", o.client)
		o.wantSeen("room.349", o.client)
	})
}

// TestManyMembersOfAllNodes: they come in the order of their ids, as many as there are in all,
// and no more than frames have room for.
func TestManyMembersOfAllNodes(t *testing.T) {
	nodes := startCluster(t, "a", "b")
	const members = 1500
	var ids []string
	for i := range members {
		n := nodes[i%2]
		c, err := n.AddClient(t.Context(), models.Caller{}, nowhere{}, models.Connection{})
		if err != nil {
			t.Fatal(err)
		}
		defer n.RemoveClient(c, models.CloseAbnormal)
		n.subscribe(c, "room.1")
		ids = append(ids, c.ID())
	}
	nodes[1].member("ada", "room.2")
	c, conn := nodes[0].comer()
	nodes[0].watch(c, "room.*")
	conn.want("ack")
	l := conn.want("presence")
	var got []string
	for _, m := range l.Clients {
		got = append(got, m.ClientID)
	}
	if diff := cmp.Diff(ids[:1000], got); diff != "" || l.Next != ids[999] {
		t.Errorf("next %q (-want +got):\n%s", l.Next, diff)
	}
	if n := conn.want("notice"); n.Code != "incomplete" {
		t.Errorf("%+v", n)
	}
	all, _ := nodes[0].allMembers("room.1", models.Page{Limit: 400})
	if len(all) != members {
		t.Errorf("%d members", len(all))
	}
}

// TestManyChangesAtOnce: they need several notices, and none is missing.
func TestManyChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b")
		var patterns []models.Pattern
		for i := range 900 {
			patterns = append(patterns, models.Pattern(fmt.Sprintf("room.%0240d", i)))
		}
		o := nodes[0].onlooker("room.*")
		synctest.Wait()
		_, before := nodes[1].engine.Said()
		ada, _ := nodes[1].member("ada", patterns...)
		for _, p := range patterns {
			o.wantSeen(string(p), ada)
		}
		if _, after := nodes[1].engine.Said(); after-before < 2 || o.joins != len(patterns) {
			t.Errorf("%d joins in %d notices", o.joins, after-before)
		}
	})
}

// TestPresenceUnderTrouble: whatever happens between the nodes, in the end everybody who watches
// believes what is so.
func TestPresenceUnderTrouble(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { liveInTrouble(t, rand.New(rand.NewPCG(seed, 9))) }) //nolint:gosec // a test's chance
		})
	}
}

func liveInTrouble(t *testing.T, random *rand.Rand) {
	nodes := startCluster(t, "a", "b", "c")
	rooms := []models.Pattern{"room.1", "room.2", "lobby"}
	patterns := []models.Pattern{"room.1", "room.2", "lobby", "room.*", "*", ">", "*.2"}
	pick := func(from []models.Pattern) models.Pattern { return from[random.IntN(len(from))] }
	members := make([][]*broker.Client, len(nodes))
	onlookers := make([][]*onlooker, len(nodes))
	for range 150 {
		i := random.IntN(len(nodes))
		n := nodes[i]
		switch action := random.IntN(20); {
		case action < 5:
			c, _ := n.member(fmt.Sprint(random.IntN(3)), pick(rooms))
			members[i] = append(members[i], c)
		case action < 8 && len(members[i]) > 0:
			c := members[i][random.IntN(len(members[i]))]
			if room := pick(rooms); slices.Contains(c.Info().Subscriptions, room) {
				n.unsubscribe(c, room)
			} else {
				n.subscribe(c, room)
			}
		case action < 10 && len(members[i]) > 0:
			at := random.IntN(len(members[i]))
			n.RemoveClient(members[i][at], models.CloseAbnormal)
			members[i] = slices.Delete(members[i], at, at+1)
		case action < 13:
			onlookers[i] = append(onlookers[i], n.onlooker(pick(patterns)))
		case action < 14 && len(onlookers[i]) > 0:
			// With presence again, it is told anew of what has members; a wildcard's other topics
			// it has heard of in time.
			o := onlookers[i][random.IntN(len(onlookers[i]))]
			n.watch(o.client, o.client.Info().Subscriptions...)
		case action < 15 && len(onlookers[i]) > 0:
			at := random.IntN(len(onlookers[i]))
			n.RemoveClient(onlookers[i][at].client, models.CloseAbnormal)
			onlookers[i] = slices.Delete(onlookers[i], at, at+1)
		case action < 16:
			n.engine.Lose(random.IntN(3))
		case action < 17:
			n.engine.Cut()
			switch random.IntN(3) {
			case 0:
				n.engine.Bury()
			case 1:
				n.engine.Miss(nodes[(i+1)%len(nodes)].engine)
			}
		case action < 18:
			n.engine.Heal()
		case action < 19:
			if random.IntN(2) == 0 {
				n.engine.Hold()
			} else {
				n.engine.Release()
			}
		default:
			n.engine.Slow(time.Duration(random.IntN(3)) * 1500 * time.Millisecond)
		}
		if random.IntN(3) > 0 {
			time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		}
	}
	for _, n := range nodes {
		n.engine.Heal()
		n.engine.Lose(0)
		n.engine.Slow(0)
		n.engine.Release()
	}
	time.Sleep(2 * soon)
	wantBelieved(t, nodes, onlookers)
}

// TestPresenceUnderChurnOfAllNodes: with many coming and going at the same time on all nodes, and
// watching, everybody who watches believes what is so in the end.
func TestPresenceUnderChurnOfAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c")
		onlookers := make([][]*onlooker, len(nodes))
		var mu sync.Mutex
		var churning sync.WaitGroup
		for i, n := range nodes {
			for j := range 4 {
				churning.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), uint64(j))) //nolint:gosec // a test's chance
					for range 30 {
						c, _ := n.member("", "lobby", models.Pattern(fmt.Sprintf("room.%d", random.IntN(3))))
						if random.IntN(4) == 0 {
							o := n.onlooker([]models.Pattern{"room.0", "room.*", "lobby", ">"}[random.IntN(4)])
							mu.Lock()
							onlookers[i] = append(onlookers[i], o)
							mu.Unlock()
						}
						if random.IntN(5) > 0 {
							n.RemoveClient(c, models.CloseAbnormal)
						}
						if random.IntN(20) == 0 {
							n.engine.Lose(1)
						}
					}
				})
			}
		}
		churning.Wait()
		time.Sleep(2 * soon)
		wantBelieved(t, nodes, onlookers)
	})
}

// wantBelieved compares what onlookers believe with what each node says of its own clients.
func wantBelieved(t *testing.T, nodes []*joint, onlookers [][]*onlooker) {
	t.Helper()
	synctest.Wait()
	truth := make(map[string]map[string]string)
	for _, n := range nodes {
		clients, missing := n.allClients(models.ClientFilter{Page: models.Page{Limit: 1000}})
		if missing != nil {
			t.Fatalf("without %v", missing)
		}
		for _, c := range clients {
			for _, p := range c.Subscriptions {
				if !p.HasWildcard() {
					if truth[string(p)] == nil {
						truth[string(p)] = make(map[string]string)
					}
					truth[string(p)][c.ID] = c.User
				}
			}
		}
	}
	for i, of := range onlookers {
		for _, o := range of {
			o.catchUp()
			watched := o.client.Info().Subscriptions[0]
			want := maps.Clone(truth)
			maps.DeleteFunc(want, func(topic string, _ map[string]string) bool { return !watched.Matches(models.Topic(topic)) })
			maps.DeleteFunc(o.believes, func(_ string, of map[string]string) bool { return len(of) == 0 })
			if diff := cmp.Diff(want, o.believes); diff != "" {
				t.Errorf("who watches %s on %s (-want +got):\n%s", watched, nodes[i].engine.Node(), diff)
			}
		}
	}
}
