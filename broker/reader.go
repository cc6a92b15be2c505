package broker

import (
	"context"
	"runtime"
	"sync"
	"time"

	"fanfare/models"
)

const (
	// pageLimit is how many messages a replay reads at a time.
	pageLimit = 128
	// readRest is how long each processor rests from reads for replays after each. These
	// could keep all processors busy; and then the runtime looks at the network only 100
	// times a second, and publishers wait for that.
	readRest = time.Millisecond
	// readPause is how long a replay waits before it tries again to read from a log that
	// was out of reach.
	readPause = 250 * time.Millisecond
)

// reader reads the log for replays, outside of the shards. Its methods may be called
// concurrently.
type reader struct {
	// Set by newReader, never changed. slots has room for the reads that are under way.
	engine Engine
	slots  chan struct{}
	ctx    context.Context //nolint:containedctx // it is the reader's own life
	cancel context.CancelFunc

	// mu guards closing. Once it is set, no read is added to reads.
	mu      sync.Mutex
	closing bool
	reads   sync.WaitGroup
}

// page is what a replay has read at a time.
type page struct {
	stretch Stretch
	// messages has those of the stretch.
	messages []replayed
}

func newReader(engine Engine) *reader {
	r := &reader{engine: engine, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// read reads the next page of a replay, which its shard gets as an event. A log that is
// out of reach is tried again until the replay is over. After close nothing is read.
func (rd *reader) read(r *replay, s *shard) {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	r.reading = true
	if rd.closing {
		return
	}
	format := r.client.format
	query := Query{Patterns: r.patterns(), After: r.read, UpTo: r.target, Limit: pageLimit, Removals: r.removals}
	rd.reads.Go(func() {
		for rd.enter(r) {
			p, err := rd.page(query, format)
			if err == nil {
				s.queue.push(event{apply: func(s *shard) { s.takePage(r, p) }})
				return
			}
			select {
			case <-time.After(readPause):
			case <-r.over:
			case <-rd.ctx.Done():
			}
		}
	})
}

// enter waits for a slot. It is false if the replay is over, or the reader is closed.
func (rd *reader) enter(r *replay) bool {
	select {
	case <-r.over:
		return false
	case <-rd.ctx.Done():
		return false
	case rd.slots <- struct{}{}:
		return true
	}
}

// page reads a page and puts it into the wire format, so that the shard need not. The slot
// is free after a rest.
func (rd *reader) page(query Query, format models.Format) (page, error) {
	defer time.AfterFunc(readRest, func() { <-rd.slots })
	stretch, err := rd.engine.Read(rd.ctx, query)
	if err != nil {
		return page{}, err
	}
	p := page{stretch: stretch, messages: make([]replayed, 0, len(stretch.Messages))}
	for _, m := range stretch.Messages {
		p.messages = append(p.messages, replayed{m.ID, &payload{bytes: format.Message(m), topic: m.Topic}})
	}
	p.stretch.Messages = nil
	return p, nil
}

// close ends all reads.
func (rd *reader) close() {
	rd.mu.Lock()
	rd.closing = true
	rd.mu.Unlock()
	rd.cancel()
	rd.reads.Wait()
}
