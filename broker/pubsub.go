package broker

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"fanfare/models"
)

// Options configures a PubSub. Every field but Clients and ClientsPerAddress must be
// set.
type Options struct {
	// MessageSize bounds a message's data as JSON text, in bytes.
	MessageSize int
	// FrameSize bounds a frame from a client, in bytes. The broker only tells clients.
	FrameSize int
	// OutboxSize bounds what waits for one client, in bytes. With more, messages are
	// dropped, or the client is closed. It must be larger than the largest message's
	// frame.
	OutboxSize int
	// Clients bounds the clients, 0 for no limit. One that has left counts until nothing
	// is written to it any more.
	Clients int
	// ClientsPerAddress bounds those of one models.Network, 0 for no limit.
	ClientsPerAddress int
	// Subscriptions bounds those of one client.
	Subscriptions int
	// InFlightSize bounds what is published and not yet taken by the shards, in bytes.
	InFlightSize int64
	// PublishWait is how long a publish waits for room in that before it fails.
	PublishWait time.Duration
	// PingInterval is how often a client is pinged.
	PingInterval time.Duration
}

// PubSub is the one service behind every transport: whoever publishes, subscribes or
// looks does it here. Its methods may be called concurrently. Their errors that a
// caller may see are a *models.Error.
type PubSub struct {
	// Set by New, never changed.
	options    Options
	engine     Engine
	reader     *reader
	shards     []*shard
	dispatcher *dispatcher
	// node is this one among the others of its cluster, nil without one.
	node *node

	// Safe for concurrent use.
	clients directory[*Client]
	census  *census
	stats   pubsubStats
	// lastCaller is that of the client that came last.
	lastCaller atomic.Pointer[models.Caller]

	// mu guards closing. Once it is set, no call is added to calls, which are those
	// that Close waits for.
	mu      sync.RWMutex
	closing bool
	calls   sync.WaitGroup
}

// New starts a PubSub over an engine, which from then on is the PubSub's to close. If
// the engine does not start, or join its cluster, it is still the caller's.
func New(ctx context.Context, engine Engine, options Options) (*PubSub, error) {
	budget := newBudget(options.InFlightSize, options.PublishWait)
	p := &PubSub{
		options: options,
		engine:  engine,
		reader:  newReader(engine),
		census:  newCensus(options.Clients, options.ClientsPerAddress),
		stats:   pubsubStats{publish: newHistogram()},
	}
	for i := range min(runtime.GOMAXPROCS(0), maxShards) {
		p.shards = append(p.shards, newShard(i, budget, p.reader, options.OutboxSize, options.PingInterval))
	}
	p.dispatcher = newDispatcher(budget, p.shards, options.Subscriptions)
	p.dispatcher.following = newFollowing(engine, p.dispatcher.begin)
	if err := engine.Start(ctx, p.dispatcher); err != nil {
		return nil, err
	}
	for _, s := range p.shards {
		go s.run()
	}
	if cluster, ok := engine.(Cluster); ok {
		if err := p.join(cluster); err != nil {
			p.stopShards()
			return nil, err
		}
	}
	return p, nil
}

// AddClient registers a connection. The welcome is its first frame. When the caller's time
// is up, it is closed, with CloseTokenExpired or, if it has no name, CloseUnauthorized. Whoever
// adds a client must remove it when the connection has ended. CodeTooManyClients and
// CodeShuttingDown.
func (p *PubSub) AddClient(
	_ context.Context, by models.Caller, conn Conn, connection models.Connection,
) (*Client, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.calls.Done()
	c, err := newClient(p.shards, p.share(by), conn, connection)
	if err != nil {
		return nil, err
	}
	if err := p.census.enter(connection); err != nil {
		return nil, err
	}
	p.clients.set(c.ID(), c)
	welcome := models.NewWelcome(c.ID(), p.options.PingInterval.Seconds(), p.limits())
	c.shard.queue.push(event{apply: func(s *shard) { s.add(c, welcome) }})
	p.expire(c, by)
	return c, nil
}

// share gives a caller without its address, the same for clients that come one behind the other as
// the same: mostly as strangers.
func (p *PubSub) share(by models.Caller) *models.Caller {
	by.Address = ""
	if last := p.lastCaller.Load(); last != nil && *last == by {
		return last
	}
	p.lastCaller.Store(&by)
	return &by
}

func (p *PubSub) limits() models.Limits {
	return models.Limits{
		MessageSize:   p.options.MessageSize,
		FrameSize:     p.options.FrameSize,
		OutboxSize:    p.options.OutboxSize,
		Subscriptions: p.options.Subscriptions,
	}
}

// RemoveClient forgets a client whose connection has ended for a reason, and returns
// when nothing will be written to it any more. The result is the reason that counts,
// which is the first: a client that was closed for being slow stays that. To remove a
// client again changes nothing.
func (p *PubSub) RemoveClient(c *Client, reason models.CloseCode) models.CloseCode {
	first := p.clients.delete(c.ID())
	p.dispatcher.leave(c, func(s *shard, removed []*subscription, _ models.ID) { s.remove(c, removed, reason) })
	c.removed.Wait()
	if first {
		p.census.leave(c.connection, c.closing)
	}
	return c.closing
}

// Subscribe subscribes a client to patterns, all or none: CodeTooManySubscriptions. It
// returns when the client's shard has applied it and queued the ack, whose id is set to
// the subscription's cursor: every matching message after it will come, as the options say.
// To subscribe again to the same pattern replaces its options, and replays if they say so;
// a replay that is under way goes on otherwise. CodeOverloaded, as for Publish, and with a
// replay, or where nobody else is subscribed, CodeEngineUnavailable.
func (p *PubSub) Subscribe(
	ctx context.Context, _ models.Caller, c *Client, patterns []models.Pattern, options models.SubscribeOptions, ack models.Ack,
) error {
	patterns = distinct(patterns)
	if len(patterns) > p.options.Subscriptions {
		return errTooManySubscriptions(p.options.Subscriptions)
	}
	if err := p.dispatcher.following.hold(ctx); err != nil {
		return err
	}
	defer p.dispatcher.following.release(1)
	var r *replay
	if options.Start.Replays() {
		begin, err := p.find(ctx, patterns, options.Start)
		if err != nil {
			return err
		}
		ack.ID, ack.Recovered = begin.after, begin.recovered
		r = newReplay(c, ack, begin)
	}
	if err := p.dispatcher.budget.ease(ctx); err != nil {
		return err
	}
	applied := make(chan struct{})
	subs, err := p.dispatcher.subscribe(c, patterns, options.Presence,
		func(s *shard, subscriptions []*subscription, position models.ID) {
			s.list(c, subscriptions, options)
			if r == nil {
				ack.ID = position
			}
			s.send(c, ack)
			if r != nil {
				s.startReplay(r, subscriptions, position)
			}
			close(applied)
		})
	if err != nil {
		return err
	}
	p.stats.countRecovery(ack.Recovered)
	if options.Presence {
		p.sendMembers(ctx, c, subs)
	}
	return wait(ctx, applied)
}

// Unsubscribe ends a client's subscriptions to patterns, all or none: CodeNotFound if
// it does not have one of them. It returns when the client's shard has applied it and
// queued the ack, whose id is set to the position, after which nothing of those
// patterns comes.
func (p *PubSub) Unsubscribe(
	ctx context.Context, _ models.Caller, c *Client, patterns []models.Pattern, ack models.Ack,
) error {
	if err := p.dispatcher.budget.ease(ctx); err != nil {
		return err
	}
	applied := make(chan struct{})
	err := p.dispatcher.unsubscribe(c, distinct(patterns), func(s *shard, removed []*subscription, position models.ID) {
		s.unlist(c, removed)
		ack.ID = position
		s.send(c, ack)
		close(applied)
	})
	if err != nil {
		return err
	}
	return wait(ctx, applied)
}

// Send queues a frame for one client and returns when its shard has taken it, so that
// a client has at most one frame of its own under way.
func (p *PubSub) Send(ctx context.Context, c *Client, frame models.ServerFrame) error {
	return p.SendRaw(ctx, c, c.format.Event(frame))
}

// SendRaw is Send for bytes that are in the client's wire format already.
func (p *PubSub) SendRaw(ctx context.Context, c *Client, bytes []byte) error {
	taken := make(chan struct{})
	c.shard.queue.push(event{apply: func(s *shard) {
		s.enqueue(c, ownFrame(bytes))
		close(taken)
	}})
	return wait(ctx, taken)
}

// Publish gives a message its place in the log; what it returns is in there. Subscribers
// have it as soon as their shards get to it. CodePayloadTooLarge, CodeOverloaded,
// CodeEngineUnavailable and CodeShuttingDown.
func (p *PubSub) Publish(ctx context.Context, by models.Caller, draft models.Draft) (models.Receipt, error) {
	if len(draft.Data) > p.options.MessageSize {
		return models.Receipt{}, models.Errorf(models.CodePayloadTooLarge,
			"a message's data has at most %d bytes as JSON text", p.options.MessageSize)
	}
	if err := p.enter(); err != nil {
		return models.Receipt{}, err
	}
	defer p.calls.Done()
	draft.From = by.User
	size, began := len(draft.Data), p.dispatcher.clock.now()
	receipt, err := p.engine.Publish(ctx, draft)
	if err == nil {
		p.stats.publish.observe(p.dispatcher.clock.now() - began)
		p.stats.publishedBytes.Add(uint64(size))
	}
	return receipt, err
}

// Ready is nil when a publish would be taken, else it says why not.
func (p *PubSub) Ready(ctx context.Context) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.calls.Done()
	return p.engine.Ready(ctx)
}

// AdmitsClient is nil when a client of the caller's address could be added and publish, else
// it says why not: as Ready does, or with CodeTooManyClients. AddClient may still fail: others
// may come first.
func (p *PubSub) AdmitsClient(ctx context.Context, by models.Caller) error {
	if err := p.Ready(ctx); err != nil {
		return err
	}
	return p.census.admits(by.Address)
}

// enter adds a call to those that Close waits for, unless it has begun.
func (p *PubSub) enter() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closing {
		return models.ErrShuttingDown()
	}
	p.calls.Add(1)
	return nil
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
