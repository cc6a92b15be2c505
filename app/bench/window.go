package bench

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// windowSize is how many messages the slowest subscriber of a topic may be behind its
	// publishers: far fewer than a server's outbox has room for.
	windowSize = 1024
	// windowStep is how many of them are told at once.
	windowStep = 64
)

// window holds up publishers that are faster than the slowest subscriber, so that nobody
// is closed for being slow. A nil window holds up nobody.
type window struct {
	subscribers int64
	room        *semaphore.Weighted

	// steps counts, for each step that is under way, the subscribers that are through.
	steps [windowSize/windowStep + 1]atomic.Int64
}

func newWindow(subscribers int) *window {
	return &window{subscribers: int64(subscribers), room: semaphore.NewWeighted(windowSize)}
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
	if w == nil || count%windowStep != 0 {
		return
	}
	step := &w.steps[count/windowStep%int64(len(w.steps))]
	if step.Add(1) == w.subscribers {
		step.Store(0)
		w.room.Release(windowStep)
	}
}
