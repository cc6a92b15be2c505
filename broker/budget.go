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

// maxWork is how many deliveries, one for each matching subscription, may be under way when
// another message is let in: a fraction of a second of the shards' time.
const maxWork = 1 << 18

// budget bounds the messages that are published and not yet taken by the shards: in bytes,
// and thereby in number, and by the work that they are. The last may be exceeded by as many
// messages as wait for it. Its methods may be called concurrently.
type budget struct {
	size int64
	wait time.Duration
	room *semaphore.Weighted

	mu sync.Mutex
	// excess is by how much the batch that is let in exceeds size.
	excess int64
	// work counts deliveries under way. While it is more than maxWork, eased is what is
	// closed when it is not any more.
	work  int
	eased chan struct{}
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
	if err := b.ease(ctx); err != nil {
		return err
	}
	if !b.room.TryAcquire(need - excess) {
		ctx, cancel := context.WithTimeout(ctx, b.wait)
		defer cancel()
		if b.room.Acquire(ctx, need-excess) != nil {
			return errOverloaded()
		}
	}
	if excess > 0 {
		b.mu.Lock()
		b.excess += excess
		b.mu.Unlock()
	}
	return nil
}

// ease waits while there is too much work. It fails with CodeOverloaded.
func (b *budget) ease(ctx context.Context) error {
	b.mu.Lock()
	eased := b.eased
	b.mu.Unlock()
	if eased == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	if wait(ctx, eased) != nil {
		return errOverloaded()
	}
	return nil
}

func errOverloaded() error {
	return &models.Error{
		Code:       models.CodeOverloaded,
		Message:    "the server has more to deliver than it gets done",
		RetryAfter: time.Second,
	}
}

// begin adds work, however much there is.
func (b *budget) begin(deliveries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.work += deliveries
	if b.work > maxWork && b.eased == nil {
		b.eased = make(chan struct{})
	}
}

// done takes away what begin has added.
func (b *budget) done(deliveries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.work -= deliveries
	if b.work <= maxWork && b.eased != nil {
		close(b.eased)
		b.eased = nil
	}
}

// pending is how much work there is.
func (b *budget) pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.work
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
	return int64(m.Size()) + messageOverhead
}
