package broker

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// What a frame of publish costs with fill, as long as topic and sequence have one
// character each, and what an outbox costs that has four of them.
const (
	fill      = 33
	fillCost  = 100
	fourFills = 4 * fillCost
)

// TestOverflow has a case for each rule: what a client gets that took nothing, or some
// bytes, while things happened, and takes all of it now.
func TestOverflow(t *testing.T) {
	const disconnect, dropOldest, latest = models.OverflowDisconnect, models.OverflowDropOldest, models.OverflowLatest
	publish := func(r *rig, topics string) {
		for _, topic := range topics {
			r.publish(models.Topic(topic), fill)
		}
	}
	cases := map[string]struct {
		happens func(r *rig)
		want    []string
		dropped uint64
	}{
		"disconnect has room for so much": {
			func(r *rig) {
				r.subscribe(disconnect, "a")
				publish(r, "aaaa")
			},
			[]string{"a1", "a2", "a3", "a4"}, 0,
		},
		"disconnect is what no option means": {
			func(r *rig) {
				r.subscribe("", "a")
				publish(r, "aaaaa")
			},
			[]string{"close 4001"}, 0,
		},
		"drop_oldest drops nothing without need": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aaaa")
			},
			[]string{"a1", "a2", "a3", "a4"}, 0,
		},
		"drop_oldest drops from the head": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aaaaaa")
			},
			[]string{"dropped a 2", "a3", "a4", "a5", "a6"}, 2,
		},
		"latest keeps the newest of a topic": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aaa")
			},
			[]string{"dropped a 2", "a3"}, 2,
		},
		"latest keeps one of each topic, at the tail": {
			func(r *rig) {
				r.subscribe(latest, "*")
				publish(r, "abca")
			},
			[]string{"dropped * 1", "b2", "c3", "a4"}, 1,
		},
		"latest drops the oldest when even so the outbox is full": {
			func(r *rig) {
				r.subscribe(latest, "*")
				publish(r, "abcde")
			},
			[]string{"dropped * 1", "b2", "c3", "d4", "e5"}, 1,
		},
		"latest is latest again once the last has left": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "a")
				r.flush(1 << 10)
				r.conn.left = 0
				publish(r, "aa")
			},
			[]string{"a1", "dropped a 1", "a3"}, 1,
		},
		"a message that a disconnect subscription wants as well stays": {
			func(r *rig) {
				r.subscribe(dropOldest, "*")
				r.subscribe(disconnect, "a")
				publish(r, "abbab")
			},
			[]string{"a1", "dropped * 1", "b3", "a4", "b5"}, 1,
		},
		"drop_oldest beats latest": {
			func(r *rig) {
				r.subscribe(latest, "a")
				r.subscribe(dropOldest, "*")
				publish(r, "aaa")
			},
			[]string{"a1", "a2", "a3"}, 0,
		},
		"of equally strong subscriptions the one to the very topic counts": {
			func(r *rig) {
				r.subscribe(latest, "*", ">", "a")
				publish(r, "aaa")
			},
			[]string{"dropped a 2", "a3"}, 2,
		},
		"the notice stands where the first one stood": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(latest, "a", "b")
				publish(r, "kakba")
			},
			[]string{"k1", "dropped a 1", "k3", "b4", "a5"}, 1,
		},
		"every subscription has a notice of its own": {
			func(r *rig) {
				r.subscribe(latest, "a", "b")
				publish(r, "abab")
			},
			[]string{"dropped a 1", "dropped b 1", "a3", "b4"}, 2,
		},
		"a message that is older than the notice takes it along": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(latest, "*")
				publish(r, "akbb") // b3 leaves a notice behind k2
				publish(r, "cd")   // and then a1 goes
			},
			[]string{"dropped * 2", "k2", "b4", "c5", "d6"}, 2,
		},
		"a head that is partly written stays": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "a")
				r.flush(1)
				publish(r, "aaaaa")
			},
			[]string{"a1", "dropped a 2", "a4", "a5", "a6"}, 2,
		},
		"a latest head that is partly written stays": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "a")
				r.flush(1)
				publish(r, "aaa")
			},
			[]string{"a1", "dropped a 2", "a4"}, 2,
		},
		"a head of which nothing is written goes": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "a")
				r.flush(0)
				publish(r, "a")
			},
			[]string{"dropped a 1", "a2"}, 1,
		},
		"a notice counts on until it is written": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.flush(0)
				publish(r, "aa")
			},
			[]string{"dropped a 3", "a4"}, 3,
		},
		"a notice that is partly written stays, and another follows": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.flush(1)
				publish(r, "aaa")
			},
			[]string{"dropped a 1", "dropped a 3", "a5"}, 4,
		},
		"what was told is not told again": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.flush(1 << 10)
				r.conn.left = 0
				publish(r, "aa")
			},
			[]string{"dropped a 1", "a2", "dropped a 1", "a4"}, 2,
		},
		"a message that has no room among others is dropped itself": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(dropOldest, "a")
				publish(r, "kkkkaa")
			},
			[]string{"k1", "k2", "k3", "k4", "dropped a 2"}, 2,
		},
		"what may be dropped goes before the client does": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(dropOldest, "a")
				publish(r, "kakakk")
			},
			[]string{"k1", "dropped a 2", "k3", "k5", "k6"}, 2,
		},
		"the client goes when nothing more can": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(dropOldest, "a")
				publish(r, "kakakkk")
			},
			[]string{"close 4001"}, 2,
		},
		"the client goes behind what is partly written": {
			func(r *rig) {
				r.subscribe(disconnect, "k")
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.flush(1)
				publish(r, "kkkkk")
			},
			[]string{"dropped a 1", "close 4001"}, 2,
		},
		"answers and pings are never dropped": {
			func(r *rig) {
				r.subscribe(latest, "a")
				r.pong()
				publish(r, "a")
				r.shard.enqueue(r.client, ownFrame(shortFormat{}.Heartbeat(models.ID{})))
				publish(r, "a")
				r.pong()
				publish(r, "aa")
			},
			[]string{"pong", "dropped a 3", "ping", "pong", "a4"}, 3,
		},
		"an answer makes room": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aaaa")
				r.pong()
			},
			[]string{"dropped a 1", "a2", "a3", "a4", "pong"}, 1,
		},
		"options are replaced, for messages from there on": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "a")
				r.subscribe(disconnect, "a")
				publish(r, "aa")
			},
			[]string{"a1", "a2", "a3"}, 0,
		},
		"what waits keeps its policy when the subscription becomes stronger": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aa")
				r.subscribe(disconnect, "a")
				publish(r, "aaa")
			},
			[]string{"dropped a 1", "a2", "a3", "a4", "a5"}, 1,
		},
		"what waits keeps its policy when the subscription becomes weaker": {
			func(r *rig) {
				r.subscribe(disconnect, "a")
				publish(r, "a")
				r.subscribe(latest, "a")
				publish(r, "aa")
			},
			[]string{"a1", "dropped a 1", "a3"}, 1,
		},
		"latest replaces only what is latest": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "a")
				r.subscribe(dropOldest, "a")
				publish(r, "a")
				r.subscribe(latest, "a")
				publish(r, "a")
			},
			[]string{"dropped a 1", "a2", "a3"}, 1,
		},
		"a subscription that has ended tells of its messages": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aaaa")
				r.unsubscribe("a")
				r.pong()
			},
			[]string{"dropped a 1", "a2", "a3", "a4", "pong"}, 1,
		},
		"a subscription to the same pattern after that is another": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.unsubscribe("a")
				r.pong()
				r.subscribe(latest, "a")
				publish(r, "aa")
			},
			// a2 is of the first, and a3 replaces it nevertheless.
			[]string{"dropped a 2", "pong", "dropped a 1", "a4"}, 3,
		},
		"the connection is offered all before something is dropped": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				r.conn.open(1 << 10)
				publish(r, "aaaaaa")
			},
			[]string{"a1", "a2", "a3", "a4", "a5", "a6"}, 0,
		},
		"room that the connection told of is used before something is dropped": {
			func(r *rig) {
				r.subscribe(dropOldest, "a")
				publish(r, "aa")
				r.flush(0)
				publish(r, "aa")
				r.conn.open(1 << 10)
				publish(r, "aa")
			},
			[]string{"a1", "a2", "a3", "a4", "a5", "a6"}, 0,
		},
		"a client is not closed whose connection takes all, even if it did not say so": {
			func(r *rig) {
				r.subscribe(disconnect, "a")
				publish(r, "aa")
				r.flush(0)
				publish(r, "aa")
				r.conn.left = 1 << 10
				publish(r, "aa")
			},
			[]string{"a1", "a2", "a3", "a4", "a5", "a6"}, 0,
		},
		"a close comes behind what waits": {
			func(r *rig) {
				r.subscribe(latest, "a")
				publish(r, "aa")
				r.shard.close(r.client, models.CloseGoingAway)
				publish(r, "aa")
			},
			[]string{"dropped a 1", "a2", "close 1001"}, 1,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fourFills)
			c.happens(r)
			r.check()
			r.flush(1 << 20)
			if diff := cmp.Diff(c.want, r.frames()); diff != "" {
				t.Errorf("what the client got (-want +got):\n%s", diff)
			}
			if dropped := r.client.Info().Dropped; dropped != c.dropped {
				t.Errorf("the client has dropped %d, want %d", dropped, c.dropped)
			}
			if !r.client.outbox.empty() || r.client.Info().QueuedBytes != 0 {
				t.Errorf("%d bytes wait, and %d are said to", r.client.outbox.size, r.client.Info().QueuedBytes)
			}
			r.check()
		})
	}
}

// TestStuckClientStaysSmall: whatever comes for a client that takes nothing, its outbox
// has its bound, emptied slots are used again, and its connection is left in peace.
func TestStuckClientStaysSmall(t *testing.T) {
	const outboxSize, messages = 64 << 10, 1_000_000
	cases := map[string]struct {
		overflow models.Overflow
		topics   int
	}{
		"latest of one topic":          {models.OverflowLatest, 1},
		"latest of some topics":        {models.OverflowLatest, 100},
		"latest of more than fit":      {models.OverflowLatest, 10_000},
		"drop_oldest":                  {models.OverflowDropOldest, 1},
		"drop_oldest of a lot of them": {models.OverflowDropOldest, 100},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, outboxSize)
			r.subscribe(models.OverflowDisconnect, "k")
			r.subscribe(c.overflow, "t.*")
			for range 10 {
				r.publish("k", fill) // a front that nothing is dropped of
			}
			r.flush(0)
			payloads := make([]*payload, c.topics)
			for i := range payloads {
				topic := models.Topic(fmt.Sprintf("t.%d", i))
				payloads[i] = &payload{bytes: fmt.Appendf(nil, "%s\n", topic), topic: topic}
			}
			account := r.client.subscriptions[1]
			for i := range messages {
				r.shard.enqueue(r.client, frame{payload: payloads[i%c.topics], account: account, kind: account.kind})
				if i%(messages/100) == 0 {
					r.check()
				}
			}
			r.check()
			if r.conn.writes > 10 {
				t.Errorf("a connection that takes nothing was tried %d times", r.conn.writes)
			}
			o := &r.client.outbox
			if most := 4 * outboxSize / frameCost; cap(o.frames) > most || len(o.ledger.latest) > most {
				t.Errorf("%d slots and %d topics for an outbox of %d bytes", cap(o.frames), len(o.ledger.latest), outboxSize)
			}
			waits := 0
			for _, f := range o.frames {
				if f.kind.droppable() {
					waits++
				}
			}
			r.flush(1 << 20)
			frames := r.frames()
			if want := fmt.Sprintf("dropped t.* %d", messages-waits); len(frames) != 10+1+waits || frames[10] != want {
				t.Errorf("%d frames, the notice is %q, want %q", len(frames), frames[10], want)
			}
		})
	}
}

// TestDropsBesideAReplay: a client takes what is above all that it has seen for live. So
// it has seen the position before a replay brings a message that was dropped, or may be.
func TestDropsBesideAReplay(t *testing.T) {
	cases := map[string]struct {
		waiting int
		want    []string
	}{
		"dropped":        {5, []string{"pong", "pong", "pong", "pong", "pong", "dropped a 1", "ping", "a1", "models.CaughtUp"}},
		"may be dropped": {1, []string{"pong", "a1", "ping", "a1", "models.CaughtUp"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fourFills)
			r.subscribe(models.OverflowDropOldest, "a")
			for range c.waiting {
				r.pong()
			}
			r.flush(0)
			r.replay(">")
			r.publish("a", fill)
			for range 3 {
				r.flush(1 << 20)
				r.shard.feedRound()
			}
			if diff := cmp.Diff(c.want, r.frames()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
