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

// maxTrim is how many messages are removed in one hold of the lock.
const maxTrim = 32

// History bounds what the memory engine retains. Every field must be set.
type History struct {
	// MaxMessagesPerTopic bounds a topic's messages.
	MaxMessagesPerTopic int
	// MaxAge is how long a message is retained at most.
	MaxAge time.Duration
	// MaxBytes bounds the log in bytes, an estimate of its overhead included. A message
	// that is larger is delivered, but not retained.
	MaxBytes int64
	// IdempotencyWindow is for how long a key stands for the message that was published
	// under it first. Keys take up to a quarter of MaxBytes beside the log, 256 bytes each;
	// when there are more, the oldest are forgotten before their time. With 0 a key means
	// nothing.
	IdempotencyWindow time.Duration
}

// Memory is the Engine for one process: a bounded log in memory, whose epoch is random
// for each start, so that cursors of an earlier life are honestly unknown.
//
// Whoever holds the lock does a bounded piece of work, some tens of microseconds at most:
// other publishers wait for no longer than that, whatever is read or removed.
type Memory struct {
	// Set by NewMemory and Start, never changed.
	epoch string
	sink  Sink
	stop  chan struct{}
	ended chan struct{}

	// mu gives messages their order. Deliver is called under it.
	mu   sync.Mutex
	log  *log
	keys *keys
}

// NewMemory makes an empty log.
func NewMemory(history History) *Memory {
	return &Memory{
		epoch: strings.ToLower(rand.Text()[:epochLength]),
		stop:  make(chan struct{}),
		ended: make(chan struct{}),
		log:   newLog(history),
		keys:  newKeys(history),
	}
}

// Start implements Engine.
func (m *Memory) Start(_ context.Context, sink Sink) error {
	m.sink = sink
	go m.expire()
	return nil
}

// Follow implements Engine. Memory always delivers: its receipts say to how many.
func (m *Memory) Follow(context.Context) (models.ID, error) {
	return m.id(m.newest()), nil
}

// Rest implements Engine.
func (m *Memory) Rest() {}

// Publish implements Engine: in one short critical section the message has its place,
// is in the log and in the queues of the shards that want it.
func (m *Memory) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	message := &models.Message{
		Topic:      draft.Topic,
		Data:       draft.Data,
		From:       draft.From,
		Encoding:   draft.Encoding,
		Attributes: draft.Attributes,
	}
	var use *keyUse
	if draft.Key != "" {
		u := useKey(draft)
		use = &u
	}
	batch := Batch{Messages: []*models.Message{message}}
	if err := m.sink.Admit(ctx, batch); err != nil {
		return models.Receipt{}, err
	}
	receipt, more, err := m.place(batch, message, use)
	if err != nil || receipt.Duplicate {
		m.sink.Dismiss(batch)
		return receipt, err
	}
	for more {
		more = m.trim(time.Now())
	}
	return receipt, nil
}

// place gives an admitted message its place, unless its key was used before. It tells
// whether the log has grown too large.
func (m *Memory) place(batch Batch, message *models.Message, use *keyUse) (_ models.Receipt, more bool, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	message.Time = models.Now()
	if use != nil {
		if earlier := m.keys.find(use.name, message.Time.Time); earlier != nil {
			receipt, err := m.repeated(message, earlier, use)
			return receipt, false, err
		}
	}
	message.ID = m.id(m.log.newest + 1)
	m.log.append(message)
	subscriptions := m.sink.Deliver(batch)
	if use != nil {
		m.keys.add(*use, message, subscriptions)
	}
	return models.Receipt{
		ID:          message.ID,
		Topic:       message.Topic,
		Time:        message.Time,
		Subscribers: &subscriptions,
	}, m.log.trim(message.Time.Time, 2), nil
}

// repeated answers a publish whose key was used before.
func (m *Memory) repeated(message *models.Message, earlier *keyed, use *keyUse) (models.Receipt, error) {
	if earlier.content != use.content {
		return models.Receipt{}, models.Errorf(models.CodeConflict,
			"this idempotency key was used for another message to this topic")
	}
	return models.Receipt{
		ID:          m.id(earlier.sequence),
		Topic:       message.Topic,
		Time:        earlier.time,
		Duplicate:   true,
		Subscribers: &earlier.subscribers,
	}, nil
}

// Position implements Engine.
func (m *Memory) Position(context.Context) (models.ID, error) {
	return m.id(m.newest()), nil
}

// Purge implements Engine.
func (m *Memory) Purge(_ context.Context, topic models.Topic) error {
	for upTo := m.newest(); m.purge(topic, upTo); {
	}
	return nil
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

// LogStats implements Engine.
func (m *Memory) LogStats() (LogStats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.stats(), nil
}

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
			for m.trim(now) {
			}
		}
	}
}

// trim removes some of what the bounds leave no room for, and tells whether there is
// more.
func (m *Memory) trim(now time.Time) (more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	more = m.log.trim(now, maxTrim)
	return m.keys.expire(now, maxTrim) || more
}

// purge removes some of a topic's messages up to a sequence, and tells whether there
// are more.
func (m *Memory) purge(topic models.Topic, upTo uint64) (more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.purge(topic, upTo, maxTrim)
}

// newest is the sequence of the newest message, 0 without one.
func (m *Memory) newest() uint64 {
	newest, _ := m.state()
	return newest
}

// state gives the sequence of the newest message and how many were removed.
func (m *Memory) state() (newest, removals uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.newest, m.log.removals
}

func (m *Memory) id(sequence uint64) models.ID {
	return models.ID{Epoch: m.epoch, Sequence: sequence}
}
