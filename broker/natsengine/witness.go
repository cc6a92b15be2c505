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
		if at.Sequence > s.last { // it may have been answered since
			var err error
			if s, err = e.state(ctx, ""); err != nil {
				return err
			}
			if at.Epoch != s.epoch {
				continue
			}
		}
		lost := at.Sequence > s.last
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

// errAnother ends what was begun with a log that is not there any more.
func errAnother() error { return errors.New("the log is another") }
