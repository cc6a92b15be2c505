package broker

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"fanfare/models"
)

// epochLength is the length of an epoch: 40 random bits of base32.
const epochLength = 8

// History bounds what the memory engine retains. Every field must be set.
type History struct {
	// MaxMessagesPerTopic bounds a topic's messages.
	MaxMessagesPerTopic int
	// MaxAge is how long a message is retained at most.
	MaxAge time.Duration
	// MaxBytes bounds the log in bytes, an estimate of its overhead included.
	MaxBytes int64
}

// Memory is the Engine for one process: a bounded log in memory, whose epoch is random
// for each start, so that cursors of an earlier life are honestly unknown.
type Memory struct {
	// Set by NewMemory and Start, never changed.
	epoch string
	sink  Sink
	stop  chan struct{}
	ended chan struct{}

	// mu gives messages their order. Deliver is called under it.
	mu  sync.Mutex
	log *log
}

// NewMemory makes an empty log.
func NewMemory(history History) *Memory {
	return &Memory{
		epoch: strings.ToLower(rand.Text()[:epochLength]),
		stop:  make(chan struct{}),
		ended: make(chan struct{}),
		log:   newLog(history),
	}
}

// Start implements Engine.
func (m *Memory) Start(_ context.Context, sink Sink) (models.ID, error) {
	m.sink = sink
	go m.expire()
	return m.id(0), nil
}

// Publish implements Engine: in one short critical section the message has its place,
// is in the log and in the queues of the shards that want it.
func (m *Memory) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	message := &models.Message{
		Topic:    draft.Topic,
		Data:     draft.Data,
		From:     draft.From,
		Encoding: draft.Encoding,
	}
	batch := Batch{Messages: []*models.Message{message}}
	if err := m.sink.Admit(ctx, batch); err != nil {
		return models.Receipt{}, err
	}
	m.mu.Lock()
	message.ID = m.id(m.log.newest + 1)
	message.Time = models.Now()
	m.log.append(message)
	subscriptions := m.sink.Deliver(batch)
	m.mu.Unlock()
	return models.Receipt{
		ID:          message.ID,
		Topic:       message.Topic,
		Time:        message.Time,
		Subscribers: subscriptions,
	}, nil
}

// Position implements Engine.
func (m *Memory) Position(context.Context) (models.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id(m.log.newest), nil
}

// Read implements Engine.
func (m *Memory) Read(
	_ context.Context, patterns []models.Pattern, after, upTo models.ID, limit int,
) (Stretch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if after.Epoch != m.epoch || after.Sequence > m.log.newest {
		after = models.ID{}
	}
	messages, removed := m.log.read(patterns, after.Sequence, upTo.Sequence, limit)
	return Stretch{Messages: messages, Removed: m.id(removed), Newest: m.id(m.log.newest)}, nil
}

// Topics implements Engine.
func (m *Memory) Topics(_ context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	var topics []models.TopicInfo
	eachTopic(&m.log.names, filter, func(name models.Topic, t *topicLog) bool {
		if newest := t.newest.Load(); newest != nil {
			topics = append(topics, models.TopicInfo{
				Name:     name,
				Messages: int(t.count.Load()),
				LastID:   newest.ID,
				LastTime: newest.Time,
			})
		}
		return len(topics) < filter.Limit
	})
	return topics, nil
}

// Ready implements Engine: memory is never away.
func (m *Memory) Ready(context.Context) error { return nil }

// Close implements Engine.
func (m *Memory) Close() error {
	close(m.stop)
	<-m.ended
	return nil
}

// expire removes what grows too old while nothing is published.
func (m *Memory) expire() {
	defer close(m.ended)
	ticker := time.NewTicker(max(m.log.history.MaxAge/16, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-m.stop:
			return
		case now := <-ticker.C:
			for m.expireSome(now) {
			}
		}
	}
}

// expireSome removes a bounded number of messages, so that publishers wait only
// shortly, and tells whether there may be more.
func (m *Memory) expireSome(now time.Time) (more bool) {
	const atOnce = 256
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.expire(now, atOnce) == atOnce
}

func (m *Memory) id(sequence uint64) models.ID {
	return models.ID{Epoch: m.epoch, Sequence: sequence}
}
