package natsengine_test

// Tests that fail: what the review of issue 6 has found, and not fixed.

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

// TestReviewFromWithAShortWindow: publishes that take longer than half of the window keep their from.
func TestReviewFromWithAShortWindow(t *testing.T) {
	history := enginetest.Generous()
	history.IdempotencyWindow = 100 * time.Millisecond
	o := embedded(t, t.TempDir(), history)
	o.SyncAlways = true
	engine := start(t, o)
	var w sync.WaitGroup
	var last models.ID
	for range 400 {
		w.Go(func() { last = publish(t, engine, models.Draft{Topic: "a", Data: []byte("1"), From: "ada"}).ID })
	}
	w.Wait()
	missing, n := 0, 0
	for q := (broker.Query{Patterns: []models.Pattern{">"}, UpTo: models.ID{Epoch: last.Epoch, Sequence: 1000}, Limit: 500}); ; {
		s, err := engine.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Messages {
			if n++; m.From == "" {
				missing++
			}
		}
		if q.After = s.Reached; s.Reached == s.Newest {
			break
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d have no from", missing, n)
	}
}

// TestReviewSmallerMessageSize: a message that has become too large is missing, and that is told.
func TestReviewSmallerMessageSize(t *testing.T) {
	dir := t.TempDir()
	o := embedded(t, dir, enginetest.Generous())
	engine := open(t, o)
	_ = engine.Start(t.Context(), silent{})
	first := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	publish(t, engine, models.Draft{Topic: "a", Data: append(append([]byte(`"`), make([]byte, 1000)...), '"')})
	_ = engine.Close()
	o.MessageSize = 100
	engine = start(t, o)
	if s := resume(t, engine, first, "a"); s.Follows(first) && len(s.Messages) == 0 {
		t.Error("recovered, without the message that is larger than message_size is now")
	}
}

// TestReviewLiveIsWhole: who listens has all that is published, however few messages of a topic are kept.
func TestReviewLiveIsWhole(t *testing.T) {
	for _, kept := range []int{1, 100, 1000} {
		t.Run(fmt.Sprint(kept), func(t *testing.T) {
			history := enginetest.Generous()
			history.MaxMessagesPerTopic = kept
			engine := open(t, embedded(t, t.TempDir(), history))
			sink := &gapCounter{}
			if err := engine.Start(t.Context(), sink); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = engine.Close() })
			if _, err := engine.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			const publishers, each = 50, 400
			var publishing sync.WaitGroup
			for range publishers {
				publishing.Go(func() {
					for range each {
						publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")})
					}
				})
			}
			publishing.Wait()
			time.Sleep(time.Second)
			sink.mu.Lock()
			defer sink.mu.Unlock()
			if sink.messages != publishers*each {
				t.Errorf("%d of %d delivered, %d gaps", sink.messages, publishers*each, sink.gaps)
			}
		})
	}
}

type gapCounter struct {
	silent
	mu             sync.Mutex
	messages, gaps int
}

func (c *gapCounter) Deliver(b broker.Batch) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages += len(b.Messages)
	if b.Gap {
		c.gaps++
	}
	return 0
}

// TestReviewNodesAfterAnotherEpoch: nodes without a secret know each other when one comes after a new epoch began.
func TestReviewNodesAfterAnotherEpoch(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	node := func() (*natsengine.Node, *peer) {
		n := natsengine.NewNode(open(t, o))
		t.Cleanup(func() { _ = n.Close() })
		if err := n.Start(t.Context(), silent{}); err != nil {
			t.Fatal(err)
		}
		p := newPeer()
		if err := n.Join(p); err != nil {
			t.Fatal(err)
		}
		return n, p
	}
	a, pa := node()
	request(t, connect(t, cluster.URLs()[0]), "$JS.API.STREAM.DELETE."+o.Stream, nil)
	publishedAgain := func() bool {
		_, err := a.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1")})
		return err == nil
	}
	for !publishedAgain() {
		time.Sleep(50 * time.Millisecond)
	}
	b, _ := node()
	select {
	case got := <-pa.heard:
		if got != "joined "+b.Node() {
			t.Error(got)
		}
	case <-time.After(5 * time.Second):
		t.Error("they do not know each other")
	}
}
