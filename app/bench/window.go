package bench

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// windowBytes bounds what may wait for one subscriber: half of what an outbox takes.
	windowBytes = 2 << 20
	// maxWindow is the most messages that a window has, and enough.
	maxWindow = 1024
	// windowSteps is in how many steps a window moves.
	windowSteps = 16
)

// windowSize is how many messages of so many bytes the slowest subscriber of a topic may
// be behind its publishers: a multiple of windowSteps.
func windowSize(messageSize int) int {
	size := min(maxWindow, windowBytes/messageSize)
	return max(size/windowSteps, 1) * windowSteps
}

// window holds up publishers that are faster than the slowest subscriber, so that nobody
// is closed for being slow. A nil window holds up nobody.
type window struct {
	subscribers int64
	step        int64
	room        *semaphore.Weighted

	// through counts, for each step that is under way, the subscribers that have taken it.
	through [windowSteps + 1]atomic.Int64
}

func newWindow(subscribers, size int) *window {
	return &window{subscribers: int64(subscribers), step: int64(size / windowSteps), room: semaphore.NewWeighted(int64(size))}
}

// enter waits for room for one message. It may run concurrently with itself and with took.
func (w *window) enter(ctx context.Context) error {
	if w == nil {
		return nil
	}
	return w.room.Acquire(ctx, 1)
}

// took is told by each subscriber, after each message, how many messages it has.
func (w *window) took(count int64) {
	if w == nil || count%w.step != 0 {
		return
	}
	through := &w.through[count/w.step%int64(len(w.through))]
	if through.Add(1) == w.subscribers {
		through.Store(0)
		w.room.Release(w.step)
	}
}
