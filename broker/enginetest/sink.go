package enginetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// Sink records what an engine delivers and holds it to the contract: calls in order and
// not overlapping, every message admitted before, every admitted one delivered or
// dismissed, none after the close. It says that a message has as many subscriptions as
// there were messages so far.
type Sink struct {
	t *testing.T

	// delivering is held during Deliver; two at once are a mistake of the engine.
	delivering sync.Mutex

	mu       sync.Mutex
	changed  *sync.Cond
	position models.ID
	seen     map[models.ID]bool
	admitted int
	messages []*models.Message
	closed   bool
}

var _ broker.Sink = (*Sink)(nil)

// NewSink gives a sink that reports mistakes to t.
func NewSink(t *testing.T) *Sink {
	s := &Sink{t: t, seen: make(map[models.ID]bool)}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Admit implements broker.Sink.
func (s *Sink) Admit(_ context.Context, batch broker.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted += len(batch.Messages)
	return nil
}

// Deliver implements broker.Sink.
func (s *Sink) Deliver(batch broker.Batch) int {
	if !s.delivering.TryLock() {
		s.t.Error("two calls of Deliver at once")
		return 0
	}
	defer s.delivering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.t.Error("Deliver after Close")
	}
	for _, m := range batch.Messages {
		if s.admitted--; s.admitted < 0 {
			s.t.Error("a message was delivered and not admitted")
		}
		switch {
		case s.seen[m.ID]:
		case m.ID.Sequence <= s.position.Sequence:
			s.t.Errorf("%v came after %v", m.ID, s.position)
		default:
			s.position = m.ID
			s.seen[m.ID] = true
			s.messages = append(s.messages, m)
		}
	}
	s.changed.Broadcast()
	return len(s.messages)
}

// Subscriptions implements broker.Sink.
func (s *Sink) Subscriptions(models.Topic) int { return 1 }

// Dismiss implements broker.Sink.
func (s *Sink) Dismiss(batch broker.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admitted -= len(batch.Messages); s.admitted < 0 {
		s.t.Error("a message was dismissed and not admitted")
	}
}

// Await waits for n messages in all, repeated ones aside, and gives them, or fewer if
// they do not come.
func (s *Sink) Await(n int) []*models.Message {
	const patience = time.Minute
	late := false
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.messages) < n && !late {
		s.changed.Wait()
	}
	return s.messages
}

func (s *Sink) start(position models.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) > 0 {
		s.t.Error("a message before anything was published")
	}
	s.position = position
}

func (s *Sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.admitted > 0 {
		s.t.Errorf("%d messages were admitted, and neither delivered nor dismissed", s.admitted)
	}
}
