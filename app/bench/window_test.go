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
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(2)
		entered := make(chan struct{}, 10*windowSize)
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
		check("nobody took any", windowSize)
		took(0, windowSize)
		check("one took all, the other none", windowSize)
		took(0, windowStep-1)
		check("the other took a few", windowSize)
		took(windowStep-1, windowStep)
		check("the other took a step", windowSize+windowStep)
		took(windowSize, windowSize+windowStep)
		took(windowStep, windowSize+windowStep)
		check("both took all", 2*windowSize+windowStep)
		for i := range 5 {
			from, to := (i+1)*windowSize+windowStep, (i+2)*windowSize+windowStep
			took(from, to)
			took(from, to)
			synctest.Wait()
		}
		check("both took all, again and again", 7*windowSize+windowStep)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the publisher ended with %v", err)
		}
	})
}
