package broker

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestSubscribersAgainstAWalk: whoever is subscribed to what, each client that wants a
// message is found once, with a subscription of its strongest kind.
func TestSubscribersAgainstAWalk(t *testing.T) {
	seed := rand.Uint64() //nolint:gosec // a test
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's chance
	patterns := []models.Pattern{"a", "a.b", "a.*", "*.b", "*", ">", "a.>"}
	topics := []models.Topic{"a", "b", "a.b", "a.c", "c.b", "a.b.c"}
	s := newSubscribers()
	clients := make([]*Client, 20)
	for i := range clients {
		clients[i] = &Client{subscriptions: make(map[models.Pattern]*subscription)}
	}
	found := 0
	for range 20_000 {
		c := clients[random.IntN(len(clients))]
		p := patterns[random.IntN(len(patterns))]
		sub := c.subscriptions[p]
		switch {
		case sub != nil && random.IntN(2) == 0:
			s.remove([]*subscription{sub})
			delete(c.subscriptions, p)
		default:
			isNew := sub == nil
			if isNew {
				sub = &subscription{client: c, pattern: p, at: -1}
				c.subscriptions[p] = sub
			}
			k := []kind{latest, dropOldest, kept}[random.IntN(3)]
			if added := s.add([]*subscription{sub}, k); added == 1 != isNew || sub.kind != k {
				t.Fatalf("%d were added, of kind %d, want %d", added, sub.kind, k)
			}
		}
		topic := topics[random.IntN(len(topics))]
		want := make(map[*Client]kind)
		for _, c := range clients {
			for p, sub := range c.subscriptions {
				if p.Matches(topic) {
					want[c] = max(want[c], sub.kind)
				}
			}
		}
		got := make(map[*Client]kind)
		for _, sub := range s.match(topic) {
			if _, twice := got[sub.client]; twice || !sub.pattern.Matches(topic) || sub.client.subscriptions[sub.pattern] != sub {
				t.Fatalf("%s: %s, twice: %t", topic, sub.pattern, twice)
			}
			got[sub.client] = sub.kind
			found++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", topic, diff)
		}
	}
	var all, each []*subscription
	for _, c := range clients {
		for _, sub := range c.subscriptions {
			all = append(all, sub)
		}
	}
	s.each(func(sub *subscription) { each = append(each, sub) })
	if len(all) != len(each) || slices.ContainsFunc(all, func(sub *subscription) bool { return !slices.Contains(each, sub) }) {
		t.Errorf("each visits %d of %d subscriptions", len(each), len(all))
	}
	if found == 0 {
		t.Error("nothing matched")
	}
}
