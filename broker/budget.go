package broker

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"fanfare/models"
)

// messageOverhead is what a message in flight costs besides its data, in bytes, roughly.
const messageOverhead = 512

// budget bounds the messages that are published and not yet taken by the shards, in
// bytes and thereby in number. Its methods may be called concurrently.
type budget struct {
	room *semaphore.Weighted
	wait time.Duration
}

func newBudget(size int64, wait time.Duration) *budget {
	return &budget{room: semaphore.NewWeighted(size), wait: wait}
}

// take waits for room for one message; first come, first served.
func (b *budget) take(ctx context.Context, size int) error {
	if b.room.TryAcquire(cost(size)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if b.room.Acquire(ctx, cost(size)) != nil {
		return &models.Error{
			Code:       models.CodeOverloaded,
			Message:    "messages are published faster than they can be delivered",
			RetryAfter: time.Second,
		}
	}
	return nil
}

func (b *budget) giveBack(size int) {
	b.room.Release(cost(size))
}

func cost(size int) int64 {
	return int64(size) + messageOverhead
}
