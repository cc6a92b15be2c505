package transport

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"fanfare/models"
)

// newSeed gives a seed, and tells it if the test fails.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64() //nolint:gosec // a test
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was %d", seed)
		}
	})
	return seed
}

// TestNoWakeIsLost: whenever a peer sends and then waits, it is heard.
func TestNoWakeIsLost(t *testing.T) {
	const peers, rounds = 8, 300
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		var talking sync.WaitGroup
		for i := range peers {
			p := s.meet(t, "")
			random := rand.New(rand.NewPCG(newSeed(t), uint64(i))) //nolint:gosec // a test
			talking.Go(func() {
				for round := range rounds {
					if err := p.talk(fmt.Sprint("peer ", i, " round ", round), random); err != nil {
						t.Errorf("peer %d, round %d: %v", i, round, err)
						return
					}
				}
			})
		}
		talking.Wait()
	})
}

// talk sends a text, in a few pieces, and waits for its echo.
func (p *peer) talk(text string, random *rand.Rand) error {
	for rest := fromClient(0x81, text); rest != ""; {
		n := len(rest)
		if random.IntN(2) == 0 {
			n = 1 + random.IntN(n)
		}
		if _, err := io.WriteString(p, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	want := fromServer(0x81, text)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p.r, got); err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%q is heard, want %q", got, want)
	}
	return nil
}

// TestChurn: connections come and go, in order or not, and their descriptors are others'
// at once. Everybody hears only what is his.
func TestChurn(t *testing.T) {
	const connections, atOnce = 300, 6
	inEachMode(t, func(t *testing.T, options Options) {
		s := start(t, options)
		seed := newSeed(t)
		stays := s.meet(t, "")
		var coming sync.WaitGroup
		free := make(chan struct{}, atOnce)
		for i := range connections {
			free <- struct{}{}
			p := s.meet(t, "")
			random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // a test
			coming.Go(func() {
				if err := p.talk(strings.Repeat(fmt.Sprint(i, ","), 1+random.IntN(100)), random); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
				p.vanish(random)
				<-free
			})
		}
		coming.Wait()
		if err := stays.talk("still here", rand.New(rand.NewPCG(seed, connections))); err != nil { //nolint:gosec // a test
			t.Error(err)
		}
		stays.leave(models.CloseAbnormal)
	})
}

// vanish ends the connection in one of the ways that there are, and waits for the end of
// the session.
func (p *peer) vanish(random *rand.Rand) {
	reason := models.CloseAbnormal
	switch random.IntN(5) {
	case 0:
		p.send(bye())
		compare(p.t, goodbye(1000), p.hear())
		reason = models.CloseNormal
	case 1:
		p.send("\xff\xff")
		compare(p.t, goodbye(1002), p.hear())
		reason = models.CloseProtocolError
	case 2:
		_ = p.tcp.SetLinger(0) // a reset
	case 3:
		p.send(fromClient(0x81, "half")[:5])
		_ = p.CloseWrite()
		compare(p.t, "", p.hear())
	case 4:
		// with an echo that nobody takes
		p.send(fromClient(0x82, strings.Repeat("x", 60_000)))
		_ = p.tcp.SetLinger(0)
	}
	p.leave(reason)
}
