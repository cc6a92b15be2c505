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
		clients[i] = &Client{}
	}
	found := 0
	for range 20_000 {
		c := clients[random.IntN(len(clients))]
		p := patterns[random.IntN(len(patterns))]
		if _, found := c.findLocked(p); found && random.IntN(2) == 0 {
			removed, err := c.removeSubscriptionsLocked([]models.Pattern{p})
			if err != nil {
				t.Fatal(err)
			}
			s.remove(removed)
		} else {
			all, _, err := c.addSubscriptionsLocked([]models.Pattern{p}, len(patterns))
			if err != nil {
				t.Fatal(err)
			}
			k := []kind{latest, dropOldest, kept}[random.IntN(3)]
			if added := s.add(all, k); added == 1 == found || all[0].kind != k {
				t.Fatalf("%d were added, of kind %d, want %d", added, all[0].kind, k)
			}
		}
		topic := topics[random.IntN(len(topics))]
		want := make(map[*Client]kind)
		for _, c := range clients {
			for _, sub := range c.subscriptions {
				if sub.pattern.Matches(topic) {
					want[c] = max(want[c], sub.kind)
				}
			}
		}
		got := make(map[*Client]kind)
		for _, sub := range s.match(topic) {
			if _, twice := got[sub.client]; twice || !sub.pattern.Matches(topic) || !slices.Contains(sub.client.subscriptions, sub) {
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
		all = append(all, c.subscriptions...)
	}
	s.each(func(sub *subscription) { each = append(each, sub) })
	if len(all) != len(each) || slices.ContainsFunc(all, func(sub *subscription) bool { return !slices.Contains(each, sub) }) {
		t.Errorf("each visits %d of %d subscriptions", len(each), len(all))
	}
	if found == 0 {
		t.Error("nothing matched")
	}
}
