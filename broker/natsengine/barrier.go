package natsengine

import (
	"context"
	"sync"
)

// barrier waits for the leader of a stream to have come as far as any of its replicas: these may apply what was
// agreed on before it does, and then have removed what it still has. Its methods may be called concurrently.
type barrier struct {
	mu sync.Mutex
	// next is the crossing that is about to begin; underWay tells that one is.
	next     *crossing
	underWay bool
}

// crossing is one that many wait for together.
type crossing struct {
	done chan struct{}
	err  error
}

// cross returns when the leader has applied all that a replica may have when it was called.
func (e *Engine) cross(ctx context.Context) error {
	if e.server != nil || e.options.Replicas == 1 {
		return nil
	}
	b := &e.barrier
	b.mu.Lock()
	if b.next == nil {
		b.next = &crossing{done: make(chan struct{})}
	}
	mine := b.next
	if !b.underWay {
		b.underWay = true
		go e.crossAll() //nolint:gosec // it is for all who wait
	}
	b.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crossAll crosses as long as somebody waits for it.
func (e *Engine) crossAll() {
	b := &e.barrier
	for {
		b.mu.Lock()
		c := b.next
		if b.next = nil; c == nil {
			b.underWay = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		// A purge of nothing: the servers have to agree on it, and the leader answers when it has come to it.
		_, c.err = api[struct{}](context.Background(), e, "STREAM.PURGE."+e.options.Stream, map[string]any{"filter": e.options.Prefix + "-log.nothing", "seq": 1})
		close(c.done)
	}
}
