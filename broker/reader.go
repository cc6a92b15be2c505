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
	// readRest is how long each processor rests from reads for replays when they have taken it
	// readWork since the last rest. These could keep all processors busy; and then the runtime
	// looks at the network only 100 times a second, and publishers wait for that. Most pages take
	// longer than readWork. Those of clients that come back after a moment take far less: many
	// thousands of them may come at the same time.
	readRest = time.Millisecond
	readWork = 250 * time.Microsecond
	// readPause is how long a replay waits before it tries again to read from a log that
	// was out of reach.
	readPause = 250 * time.Millisecond
)

// reader reads the log for replays, outside of the shards. Its methods may be called
// concurrently.
type reader struct {
	// Set by newReader, never changed. slots has one for each read that may be under way, unless it
	// rests: how long reads have taken in it since it did.
	engine Engine
	slots  chan time.Duration
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
	r := &reader{engine: engine, slots: make(chan time.Duration, runtime.GOMAXPROCS(0))}
	for range cap(r.slots) {
		r.slots <- 0
	}
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
		for {
			worked, ok := rd.enter(r)
			if !ok {
				return
			}
			p, err := rd.page(query, format, worked)
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
func (rd *reader) enter(r *replay) (worked time.Duration, ok bool) {
	select {
	case <-r.over:
		return 0, false
	case <-rd.ctx.Done():
		return 0, false
	case worked := <-rd.slots:
		return worked, true
	}
}

// leave gives a slot back, after a rest if it is time for one.
func (rd *reader) leave(worked time.Duration) {
	if worked < readWork {
		rd.slots <- worked
		return
	}
	time.AfterFunc(readRest, func() { rd.slots <- 0 })
}

// page reads a page and puts it into the wire format, so that the shard need not. It leaves the slot, in which
// reads have worked for so long.
func (rd *reader) page(query Query, format models.Format, worked time.Duration) (page, error) {
	begin := time.Now()
	defer func() { rd.leave(worked + time.Since(begin)) }()
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
