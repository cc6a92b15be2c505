package broker

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"fanfare/models"
)

// messageOverhead is what a message in flight costs besides its data, in bytes, roughly.
const messageOverhead = 512

// budget bounds the messages that are published and not yet taken by the shards, in
// bytes and thereby in number. Its methods may be called concurrently.
type budget struct {
	size int64
	wait time.Duration
	room *semaphore.Weighted

	mu sync.Mutex
	// excess is by how much the batch that is let in exceeds size.
	excess int64
}

func newBudget(size int64, wait time.Duration) *budget {
	return &budget{size: size, wait: wait, room: semaphore.NewWeighted(size)}
}

// take waits for room for a batch; first come, first served. One that is larger than
// the budget is let in when nothing else is in flight.
func (b *budget) take(ctx context.Context, batch Batch) error {
	need := int64(0)
	for _, m := range batch.Messages {
		need += cost(m)
	}
	excess := max(need-b.size, 0)
	if !b.room.TryAcquire(need - excess) {
		ctx, cancel := context.WithTimeout(ctx, b.wait)
		defer cancel()
		if b.room.Acquire(ctx, need-excess) != nil {
			return &models.Error{
				Code:       models.CodeOverloaded,
				Message:    "messages are published faster than they can be delivered",
				RetryAfter: time.Second,
			}
		}
	}
	if excess > 0 {
		b.mu.Lock()
		b.excess += excess
		b.mu.Unlock()
	}
	return nil
}

// giveBack ends a message's flight.
func (b *budget) giveBack(m *models.Message) {
	b.mu.Lock()
	paid := min(b.excess, cost(m))
	b.excess -= paid
	b.mu.Unlock()
	b.room.Release(cost(m) - paid)
}

func cost(m *models.Message) int64 {
	return int64(len(m.Data)) + messageOverhead
}
