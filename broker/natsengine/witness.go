package natsengine

import (
	"context"
	"errors"
	"sync"
	"time"

	"fanfare/models"
)

// witness is a message that this node knows to be in the log, so that it notices when the log is not that one
// any more: servers that lost their power may have lost their newest messages, and give their places to
// others. Its methods may be called concurrently.
type witness struct {
	mu sync.Mutex
	at models.ID
	// What is known of it: when it was stored, and its stamp. Zero is not known.
	time  time.Time
	stamp string
}

// saw takes note of a newer message.
func (w *witness) saw(at models.ID, stored time.Time, stamp string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.Epoch != w.at.Epoch || at.Sequence > w.at.Sequence {
		w.at, w.time, w.stamp = at, stored, stamp
	}
}

func (w *witness) get() (at models.ID, stored time.Time, stamp string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, w.time, w.stamp
}

// verify has the log go on as another, if it has lost messages that this node knows of. It is called after
// each time that servers were out of reach; nothing is published before that.
func (e *Engine) verify(ctx context.Context, s state) error {
	for _, w := range []*witness{&e.answered, &e.delivered} {
		at, stored, stamp := w.get()
		if at.Epoch != s.epoch {
			continue
		}
		lost, err := e.endsBefore(ctx, at, s)
		if err != nil {
			return err
		}
		if !lost {
			m, found, err := e.leaderMessage(ctx, map[string]any{"seq": at.Sequence})
			if err != nil {
				return err
			}
			lost = found && (!stored.IsZero() && !m.time.Equal(stored) || stamp != "" && m.header.Get(headerStamp) != stamp)
		}
		if lost {
			if err := e.beginEpoch(ctx, s.epoch, "the stream has lost its newest messages"); err != nil {
				return err
			}
			return errAnother()
		}
	}
	return nil
}

// endsBefore tells whether the log, which had a state before, does not come to a place in it.
func (e *Engine) endsBefore(ctx context.Context, at models.ID, was state) (bool, error) {
	if at.Sequence <= was.last {
		return false, nil
	}
	now, err := e.state(ctx, "") // it may have come there since
	if err != nil || at.Epoch != now.epoch || at.Sequence <= now.last {
		return false, err
	}
	if e.server != nil {
		return true, nil
	}
	// In a cluster it may be the answer of a server that does not lead any more. That cannot store anything.
	place, err := e.probe(ctx)
	return place <= at.Sequence, err
}

// errAnother ends what was begun with a log that is not there any more.
func errAnother() error { return errors.New("the log is another") }
