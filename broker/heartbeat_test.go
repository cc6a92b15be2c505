package broker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestHeartbeatAgainstAList: whoever comes and goes, every client has its turn once in
// an interval, the first one a whole interval after it came and within a tick of that.
func TestHeartbeatAgainstAList(t *testing.T) {
	const interval = 10 * time.Second
	seed := rand.Uint64() //nolint:gosec // a test's chance
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's chance
	h := newHeartbeat(interval)
	turn := len(h.slots)
	came := make(map[*Client]int)
	visited := 0
	for tick := 1; tick <= 50*turn; tick++ {
		for range random.IntN(3) {
			c := &Client{}
			h.add(c)
			came[c] = tick
		}
		for c := range came {
			if random.IntN(100) > 0 {
				break
			}
			if !h.remove(c) || h.remove(c) {
				t.Fatal("a client leaves other than once")
			}
			delete(came, c)
		}
		due := 0
		for _, since := range came {
			if passed := tick - since; passed > 0 && passed%turn == 0 {
				due++
			}
		}
		h.next(func(c *Client) {
			visited++
			since, here := came[c]
			if passed := tick - since; !here || passed == 0 || passed%turn != 0 {
				t.Fatalf("tick %d: a client of tick %d has its turn, there: %t", tick, since, here)
			}
			due--
		})
		if due != 0 || h.clients != len(came) {
			t.Fatalf("tick %d: %d were left out; %d clients, want %d", tick, due, h.clients, len(came))
		}
	}
	if visited == 0 {
		t.Error("nobody had a turn")
	}
}

// TestHeartbeatIntervals: no interval is too short or too odd; nobody is early.
func TestHeartbeatIntervals(t *testing.T) {
	cases := map[string]struct {
		interval time.Duration
		slots    int
		tick     time.Duration
	}{
		"usual":                  {25 * time.Second, 64, 390625 * time.Microsecond},
		"odd":                    {time.Second + 1, 64, 15625001},
		"shorter than the slots": {20 * time.Millisecond, 20, time.Millisecond},
		"shorter than a tick":    {time.Nanosecond, 1, time.Millisecond},
		"very long":              {1<<63 - 1<<6, 64, 1<<57 - 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHeartbeat(c.interval)
			if len(h.slots) != c.slots || h.tick != c.tick {
				t.Errorf("%d slots every %d ns, want %d every %d ns", len(h.slots), h.tick, c.slots, c.tick)
			}
			if time.Duration(len(h.slots))*h.tick < c.interval {
				t.Error("clients are pinged too early")
			}
		})
	}
}
