package natsengine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/natsengine"
	"fanfare/models"
)

// log is a broker.Sink that keeps the ids.
type log struct {
	mu       sync.Mutex
	ids      []models.ID
	messages []*models.Message
	gaps     int
}

func newLog() *log { return &log{} }

func (*log) Admit(context.Context, broker.Batch) error { return nil }
func (*log) Dismiss(broker.Batch)                      {}
func (*log) Subscriptions(models.Topic) int            { return 0 }

func (l *log) Deliver(batch broker.Batch) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch.Gap {
		l.gaps++
	}
	for _, m := range batch.Messages {
		l.ids = append(l.ids, m.ID)
		l.messages = append(l.messages, m)
	}
	return 0
}

// follow starts an engine that is closed with the test, and follows it from a place on.
func follow(t testing.TB, options natsengine.Options) (*natsengine.Engine, *log, models.ID) {
	t.Helper()
	engine, sink := open(t, options), newLog()
	if err := engine.Start(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	position, err := engine.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return engine, sink, position
}

// want waits for a message.
func (l *log) want(t testing.TB, id models.ID) *models.Message {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		at := slices.Index(l.ids, id)
		l.mu.Unlock()
		if at >= 0 {
			return l.messages[at]
		}
		if time.Now().After(end) {
			t.Fatalf("%v has not come: %v", id, l.ids)
		}
	}
}
