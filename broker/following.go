package broker

import (
	"context"
	"sync"
	"time"

	"fanfare/models"
)

// followingLinger is how long the engine goes on delivering when the last listener has left:
// mostly another comes soon.
const followingLinger = 5 * time.Second

// following has the engine deliver as long as somebody listens. Its methods may be called
// concurrently.
type following struct {
	// Set by newFollowing, never changed. begin is told where delivery begins. life ends with close.
	engine Engine
	begin  func(models.ID)
	life   context.Context //nolint:containedctx // it is its own
	end    context.CancelFunc

	// turn is full while delivery begins or ends, and while on is looked at. failed is the number of the
	// attempt to begin that failed last, and failure why.
	turn    chan struct{}
	on      bool
	failed  int
	failure error

	mu sync.Mutex
	// listeners counts subscriptions, and those who are about to have one.
	listeners int
	rest      *time.Timer
	// attempts counts those to begin delivery.
	attempts int
}

func newFollowing(engine Engine, begin func(models.ID)) *following {
	f := &following{engine: engine, begin: begin, turn: make(chan struct{}, 1)}
	f.life, f.end = context.WithCancel(context.Background())
	return f
}

// hold adds a listener, and returns when the engine delivers. If it fails, as Engine.Follow, the
// listener is not there.
func (f *following) hold(ctx context.Context) error {
	f.add(1)
	err := f.follow(ctx)
	if err != nil {
		f.release(1)
	}
	return err
}

func (f *following) follow(ctx context.Context) error {
	before := f.begun(0)
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.turn }()
	switch {
	case f.on || f.life.Err() != nil:
		return nil
	case f.failed > before:
		return f.failure // or all who wait would wait for an attempt of their own, one after the other
	}
	attempt := f.begun(1)
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	position, err := f.engine.Follow(trying)
	switch {
	case f.life.Err() != nil && err != nil:
		return nil
	case err != nil:
		if ctx.Err() == nil {
			f.failed, f.failure = attempt, err
		}
		return err
	}
	f.begin(position)
	f.on = true
	return nil
}

// begun adds to the attempts, and gives how many there have been.
func (f *following) begun(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts += n
	return f.attempts
}

// add adds listeners while there is one.
func (f *following) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners += n
}

// release takes listeners away. Some time after the last one, the engine may rest.
func (f *following) release(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners -= n; f.listeners > 0 || n == 0 {
		return
	}
	if f.rest == nil {
		f.rest = time.AfterFunc(followingLinger, f.restUnlessHeld)
	} else {
		f.rest.Reset(followingLinger)
	}
}

func (f *following) restUnlessHeld() {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	f.mu.Lock()
	held := f.listeners > 0
	f.mu.Unlock()
	if held || !f.on || f.life.Err() != nil {
		return
	}
	f.on = false
	f.engine.Rest()
}

// isOn tells whether the engine delivers.
func (f *following) isOn() bool {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	return f.on
}

// close leaves the engine as it is from now on.
func (f *following) close() {
	f.end()
	f.turn <- struct{}{}
	<-f.turn
}
