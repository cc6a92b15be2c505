package natsengine_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// resume reads on from a place, to the end.
func resume(t *testing.T, engine *natsengine.Engine, since models.ID, patterns ...models.Pattern) broker.Stretch {
	t.Helper()
	end := models.ID{Epoch: since.Epoch, Sequence: 1 << 62}
	stretch, err := engine.Read(t.Context(), broker.Query{Patterns: patterns, After: since, UpTo: end, Limit: 512})
	if err != nil {
		t.Fatal(err)
	}
	return stretch
}

// TestLossesBeforeALimitHasGrown: what a topic lost under a bound is told after the bound has grown, too.
func TestLossesBeforeALimitHasGrown(t *testing.T) {
	dir := t.TempDir()
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 5
	engine := open(t, embedded(t, dir, history))
	if err := engine.Start(t.Context(), silent{}); err != nil {
		t.Fatal(err)
	}
	first := publish(t, engine, models.Draft{Topic: "a", Data: []byte("0")}).ID
	for i := range 10 {
		publish(t, engine, models.Draft{Topic: "a", Data: fmt.Append(nil, i)})
	}
	if s := resume(t, engine, first, "a"); s.Follows(first) {
		t.Fatal("before the bound has grown")
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	history.MaxMessagesPerTopic = 1000
	engine = start(t, embedded(t, dir, history))
	if s := resume(t, engine, first, "a"); s.Follows(first) {
		t.Errorf("recovered, with %d of 10 messages", len(s.Messages))
	}
}

// TestLimitOfAnotherNode: what another node makes the bound of a topic holds for this one.
func TestLimitOfAnotherNode(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	engine := start(t, o)
	first := publish(t, engine, models.Draft{Topic: "a", Data: []byte("0")}).ID
	for i := range 10 {
		publish(t, engine, models.Draft{Topic: "a", Data: fmt.Append(nil, i)})
	}
	o.History.MaxMessagesPerTopic, o.ApplyLimits = 5, true
	start(t, o)
	if s := resume(t, engine, first, "a"); s.Follows(first) {
		t.Errorf("recovered, with %d of 10 messages", len(s.Messages))
	}
}

// TestLossesOfOtherTopics: what happens to other topics plays no part, however many patterns are asked for.
func TestLossesOfOtherTopics(t *testing.T) {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 5
	engine := start(t, embedded(t, t.TempDir(), history))
	first := publish(t, engine, models.Draft{Topic: "t0", Data: []byte("0")}).ID
	for i := range 10 {
		publish(t, engine, models.Draft{Topic: "other", Data: fmt.Append(nil, i)})
	}
	var patterns []models.Pattern
	for i := range 9 {
		patterns = append(patterns, models.Pattern(fmt.Sprint("t", i)))
	}
	if s := resume(t, engine, first, patterns[:8]...); !s.Follows(first) {
		t.Error("not recovered with 8 patterns")
	}
	if s := resume(t, engine, first, patterns...); !s.Follows(first) {
		t.Error("not recovered with 9 patterns, though only another topic has lost messages")
	}
	first = publish(t, engine, models.Draft{Topic: "t0", Data: []byte("0")}).ID
	publish(t, engine, models.Draft{Topic: "third", Data: []byte("0")})
	if err := engine.Purge(t.Context(), "third"); err != nil {
		t.Fatal(err)
	}
	if s := resume(t, engine, first, patterns...); !s.Follows(first) {
		t.Error("not recovered with 9 patterns, though only another topic was purged")
	}
}

// TestLastWhilePublishing: the last 10 messages are 10, also while others are published.
func TestLastWhilePublishing(t *testing.T) {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 100_000
	engine := start(t, embedded(t, t.TempDir(), history))
	for i := range 100 {
		publish(t, engine, models.Draft{Topic: "a", Data: fmt.Append(nil, i)})
	}
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	for range 2 {
		publishing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1")}); err != nil {
						return
					}
				}
			}
		})
	}
	few, least := 0, 10
	for range 50 {
		upTo, err := engine.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		after, err := engine.Tail(t.Context(), []models.Pattern{"a"}, upTo, 10)
		if err != nil {
			t.Fatal(err)
		}
		s, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, After: after, UpTo: upTo, Limit: 512})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(s.Messages); n < 10 {
			few, least = few+1, min(least, n)
		}
	}
	close(stop)
	publishing.Wait()
	if few > 0 {
		t.Errorf("%d of 50 have less than 10 messages, one has %d", few, least)
	}
}

// TestPurgeOnReplicas: a purge is told, whichever replica is asked.
func TestPurgeOnReplicas(t *testing.T) {
	cluster := natstest.Start(t, 3)
	engine := start(t, clustered(t, cluster, "S", enginetest.Generous()))
	lies := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		first := publish(t, engine, models.Draft{Topic: "b", Data: []byte("0")}).ID
		publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")})
		if err := engine.Purge(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if s := resume(t, engine, first, "a"); s.Follows(first) && len(s.Messages) == 0 {
			lies++
		}
	}
	if lies > 0 {
		t.Errorf("recovered %d times, without the message that was purged", lies)
	}
}
