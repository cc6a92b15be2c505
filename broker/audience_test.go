package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// spectating gives a presence that a node watches.
func spectating(t *testing.T, patterns ...models.Pattern) *presence {
	t.Helper()
	p := newPresence(1, newBudget(1, time.Minute))
	p.audience = newAudience()
	if answer := p.show("b", watch{Session: 1, Begin: true, Add: patterns}); answer.Unknown || answer.Number != 0 {
		t.Fatalf("%+v", answer)
	}
	return p
}

func (p *presence) announce(topic models.Topic, user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announceLocked(models.NewJoin(topic, models.Member{User: user}), nil)
}

// TestNoticesAreBounded: in size, one by one, and in number, all together; what is left out shows in
// the numbers.
func TestNoticesAreBounded(t *testing.T) {
	p := spectating(t, ">")
	long := strings.Repeat(`"`, models.MaxTopicBytes)
	for range 500 {
		p.announce(models.Topic(long), long)
	}
	next := uint64(1)
	count := func(unsent map[string]news[models.PresenceChange]) (all int) {
		t.Helper()
		for i, notice := range notices(unsent["b"]) {
			var n news[models.PresenceChange]
			if err := json.Unmarshal(notice, &n); err != nil || len(notice) > 64<<10 || n.Session != 1 {
				t.Fatalf("a notice of %d bytes: %v", len(notice), err)
			}
			if i == 0 {
				next = n.First
			}
			if n.First != next {
				t.Fatalf("it begins with %d, not %d", n.First, next)
			}
			next += uint64(len(n.Changes))
			all += len(n.Changes)
		}
		return all
	}
	if n := count(p.takeNews()); n != 500 || next != 501 {
		t.Errorf("%d changes, then %d", n, next)
	}
	for i := range maxUnsent + 10 {
		p.announce(models.Topic(fmt.Sprint(i)), "")
	}
	if n := count(p.takeNews()); n != 10 || next != maxUnsent+511 {
		t.Errorf("%d changes are not lost, then %d", n, next)
	}
}

// TestWatchesThatAreNotRenewed: who has not asked for long is told nothing more.
func TestWatchesThatAreNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spectating(t, "a", "b.>")
		time.Sleep(maxSilence)
		p.show("b", watch{Session: 1})
		time.Sleep(maxSilence)
		p.announce("a", "")
		if len(p.takeNews()) != 1 {
			t.Error("it was just renewed")
		}
		time.Sleep(time.Nanosecond)
		p.announce("a", "")
		if len(p.takeNews()) != 0 || len(p.audience.spectators) != 0 || len(p.audience.patterns.exact) != 0 {
			t.Errorf("%+v", p.audience)
		}
		if answer := p.show("b", watch{Session: 1}); !answer.Unknown {
			t.Errorf("%+v", answer)
		}
	})
}

// TestTooMuchIsHeard: notices that wait are bounded; what is more is missed, and asked for again.
func TestTooMuchIsHeard(t *testing.T) {
	n := newNeighbor(nil, "b")
	for range 1000 {
		n.hearLocked(make([]byte, 60<<10))
	}
	if n.heardSize > maxHeard || len(n.heard) != maxHeard/(60<<10) {
		t.Errorf("%d notices of %d bytes wait", len(n.heard), n.heardSize)
	}
}
