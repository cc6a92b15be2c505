package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Publishers get as far ahead of the slowest subscriber as the window is long, and go on
// when it follows.
func TestWindow(t *testing.T) {
	const size, step = 1024, 1024 / windowSteps
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(2, size)
		entered := make(chan struct{}, 10*size)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			for {
				if err := w.enter(ctx); err != nil {
					ended <- err
					return
				}
				entered <- struct{}{}
			}
		}()
		check := func(what string, want int) {
			t.Helper()
			if synctest.Wait(); len(entered) != want {
				t.Errorf("%s: %d messages entered, want %d", what, len(entered), want)
			}
		}
		took := func(from, to int) {
			for i := from; i < to; i++ {
				w.took(int64(i + 1))
			}
		}
		check("nobody took any", size)
		took(0, size)
		check("one took all, the other none", size)
		took(0, step-1)
		check("the other took a few", size)
		took(step-1, step)
		check("the other took a step", size+step)
		took(size, size+step)
		took(step, size+step)
		check("both took all", 2*size+step)
		for i := range 5 {
			from, to := (i+1)*size+step, (i+2)*size+step
			took(from, to)
			took(from, to)
			synctest.Wait()
		}
		check("both took all, again and again", 7*size+step)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the publisher ended with %v", err)
		}
	})
}

// What waits for one subscriber fits into its outbox, and the window can always move.
func TestWindowSize(t *testing.T) {
	tests := map[string]struct{ messageSize, want int }{
		"small messages":       {150, 1024},
		"some kilobytes":       {3000, 688},
		"the largest messages": {60_000, 32},
		"larger than anything": {windowBytes, 16},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := windowSize(tt.messageSize); got != tt.want {
				t.Errorf("%d messages, want %d", got, tt.want)
			}
		})
	}
}
