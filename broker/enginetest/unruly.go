package enginetest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	"fanfare/broker"
	"fanfare/models"
)

// Unruly is an engine as remote ones are on a bad day: it delivers late, in batches of
// any size, and what it has delivered already; what is read of it may end early. Told to,
// it loses messages, goes away and comes back, or comes back as another log. It keeps the
// contract all the while.
type Unruly struct {
	history broker.History
	random  *rand.Rand

	mu      sync.Mutex
	changed *sync.Cond
	log     *broker.Memory
	sink    broker.Sink
	// pending has what is in the log and not delivered, recent what was delivered last.
	pending, recent []*models.Message
	away            bool
	gap             bool
	closed          bool
	// life is the epoch of the log, once it has forgotten. delivering tells that a batch is on its way.
	life       string
	delivering bool
	ended      chan struct{}
}

var _ broker.Engine = (*Unruly)(nil)

// NewUnruly gives an engine that retains as much as history says, and whose bad day is
// the one of that seed.
func NewUnruly(seed uint64, history broker.History) *Unruly {
	u := &Unruly{
		history: history,
		log:     broker.NewMemory(history),
		random:  rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // a test's chance
		ended:   make(chan struct{}),
	}
	u.changed = sync.NewCond(&u.mu)
	return u
}

// Start implements broker.Engine.
func (u *Unruly) Start(ctx context.Context, sink broker.Sink) error {
	u.sink = sink
	go u.follow() //nolint:gosec // it ends with Close, not with ctx
	return u.log.Start(ctx, pendingSink{u})
}

// Follow implements broker.Engine: what is pending of an earlier life of the log is not delivered any more.
func (u *Unruly) Follow(ctx context.Context) (models.ID, error) {
	for {
		position, err := u.Position(ctx)
		if err != nil || u.forgetAllBut(position.Epoch) {
			return position, err
		}
	}
}

// forgetAllBut drops what is pending of other lives of the log, if this one is its present, and waits until none
// of it is on its way.
func (u *Unruly) forgetAllBut(life string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.life != "" && u.life != life {
		return false
	}
	other := func(m *models.Message) bool { return m.ID.Epoch != life }
	u.pending, u.recent = slices.DeleteFunc(u.pending, other), slices.DeleteFunc(u.recent, other)
	for u.delivering {
		u.changed.Wait()
	}
	return true
}

// Rest implements broker.Engine. What is pending is delivered all the same.
func (*Unruly) Rest() {}

// Publish implements broker.Engine.
func (u *Unruly) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	log, err := u.reach()
	if err != nil {
		return models.Receipt{}, err
	}
	return log.Publish(ctx, draft)
}

// Position implements broker.Engine.
func (u *Unruly) Position(ctx context.Context) (models.ID, error) {
	log, err := u.reach()
	if err != nil {
		return models.ID{}, err
	}
	return log.Position(ctx)
}

// Read implements broker.Engine.
func (u *Unruly) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	log, err := u.reach()
	if err != nil {
		return broker.Stretch{}, err
	}
	stretch, err := log.Read(ctx, query)
	if err == nil {
		u.shorten(&stretch, query.After)
	}
	return stretch, err
}

// shorten has every other stretch end early, but never where it began.
func (u *Unruly) shorten(stretch *broker.Stretch, after models.ID) {
	if after.Epoch != stretch.Newest.Epoch || after.Sequence > stretch.Newest.Sequence {
		after.Sequence = 0
	}
	if stretch.Reached.Sequence <= after.Sequence {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.random.IntN(2) == 0 {
		return
	}
	reached := &stretch.Reached.Sequence
	*reached = after.Sequence + 1 + u.random.Uint64N(*reached-after.Sequence)
	stretch.Messages = slices.DeleteFunc(stretch.Messages, func(m *models.Message) bool {
		return m.ID.Sequence > *reached
	})
}

// Tail implements broker.Engine.
func (u *Unruly) Tail(ctx context.Context, patterns []models.Pattern, upTo models.ID, count int) (models.ID, error) {
	log, err := u.reach()
	if err != nil {
		return models.ID{}, err
	}
	return log.Tail(ctx, patterns, upTo, count)
}

// Purge implements broker.Engine.
func (u *Unruly) Purge(ctx context.Context, topic models.Topic) error {
	log, err := u.reach()
	if err != nil {
		return err
	}
	return log.Purge(ctx, topic)
}

// Topics implements broker.Engine.
func (u *Unruly) Topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	log, err := u.reach()
	if err != nil {
		return nil, err
	}
	return log.Topics(ctx, filter)
}

// Ready implements broker.Engine.
func (u *Unruly) Ready(context.Context) error {
	_, err := u.reach()
	return err
}

// LogStats implements broker.Engine.
func (u *Unruly) LogStats() (broker.LogStats, error) {
	log, err := u.reach()
	if err != nil {
		return broker.LogStats{}, err
	}
	return log.LogStats()
}

// Close implements broker.Engine.
func (u *Unruly) Close() error {
	u.change(func() { u.closed = true })
	<-u.ended
	return u.log.Close()
}

// GoAway makes every call fail and delivery stand still, until ComeBack.
func (u *Unruly) GoAway() { u.change(func() { u.away = true }) }

// ComeBack ends GoAway.
func (u *Unruly) ComeBack() { u.change(func() { u.away = false }) }

// Lose loses for this node what has been published and not delivered, and says so with
// the next batch.
func (u *Unruly) Lose() {
	u.change(func() { u.pending, u.gap = nil, true })
}

// Forget makes it come back as another, empty log: with another epoch, from 1.
func (u *Unruly) Forget(ctx context.Context) error {
	fresh := broker.NewMemory(u.history)
	if err := fresh.Start(ctx, pendingSink{u}); err != nil {
		return err
	}
	position, err := fresh.Position(ctx)
	if err != nil {
		return err
	}
	var old *broker.Memory
	u.change(func() { old, u.log, u.recent, u.life = u.log, fresh, nil, position.Epoch })
	return old.Close()
}

func (u *Unruly) change(apply func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	apply()
	u.changed.Broadcast()
}

func (u *Unruly) reach() (*broker.Memory, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.away {
		return nil, models.Errorf(models.CodeEngineUnavailable, "the log is away")
	}
	return u.log, nil
}

// follow delivers what is pending, in its own time.
func (u *Unruly) follow() {
	defer close(u.ended)
	for {
		batch, open := u.next()
		if !open {
			return
		}
		for u.sink.Admit(context.Background(), batch) != nil {
			continue // it is not a publisher: it waits on
		}
		u.sink.Deliver(batch)
		u.change(func() { u.delivering = false })
	}
}

// next waits for the next batch; false means that there is none any more.
func (u *Unruly) next() (broker.Batch, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for !u.closed && (u.away || len(u.pending) == 0) {
		u.changed.Wait()
	}
	if u.closed {
		return broker.Batch{}, false
	}
	u.delivering = true
	n := 1 + u.random.IntN(len(u.pending))
	fresh := u.pending[:n]
	u.pending = u.pending[n:]
	batch := broker.Batch{Gap: u.gap}
	u.gap = false
	if repeated := len(u.recent); repeated > 0 && u.random.IntN(3) == 0 {
		batch.Messages = append(batch.Messages, u.recent[u.random.IntN(repeated):]...)
	}
	batch.Messages = append(batch.Messages, fresh...)
	// What is of another life of the log does not come again behind what is of this one.
	life := fresh[n-1].ID.Epoch
	u.recent = slices.DeleteFunc(slices.Clone(fresh), func(m *models.Message) bool { return m.ID.Epoch != life })
	return batch, true
}

// pendingSink takes from the log what Unruly delivers later.
type pendingSink struct{ u *Unruly }

func (pendingSink) Admit(context.Context, broker.Batch) error { return nil }

func (pendingSink) Dismiss(broker.Batch) {}

func (s pendingSink) Deliver(batch broker.Batch) int {
	s.u.change(func() { s.u.pending = append(s.u.pending, batch.Messages...) })
	return 0
}

func (pendingSink) Subscriptions(models.Topic) int { return 0 }
