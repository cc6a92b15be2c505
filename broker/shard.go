package broker

import (
	"time"

	"fanfare/models"
)

const (
	// batchSize is how many events a shard applies before it flushes.
	batchSize = 64
	// writeSize is how much of an outbox leaves in one write, and how much data a shard
	// delivers before it flushes, in bytes.
	writeSize = 64 << 10
	// writesAtOnce is how many writes a shard does before it lets others run. A write
	// is a system call of some microseconds that the scheduler may not see, and so can
	// not use: without a pause, whoever else has work on this processor, such as those
	// who read from sockets, would wait for all of them.
	writesAtOnce = 32
	// maxKeptEvents is the length beyond which an emptied queue is given back.
	maxKeptEvents = 16 << 10
)

// shard owns a share of the clients, what they are subscribed to and their outboxes:
// everything here and in flush.go happens in its one goroutine, and needs no lock. A
// panic in it ends the process: what it was at cannot be put right.
type shard struct {
	// Set by newShard, never changed.
	index      int
	queue      *queue
	budget     *budget
	order      *dispatcher
	clock      clock
	reader     *reader
	outboxSize int
	stopped    chan struct{}

	// Owned by the goroutine. ticks are the heartbeat's. seen is a place in the log up to
	// which all that is for the shard has been queued for its clients.
	ticks     <-chan time.Time
	heartbeat *heartbeat
	seen      models.ID
	// subscribers are live, replaying wait for a replay.
	subscribers, replaying *subscribers
	watchers               *watchers
	// formats has the wire formats of the clients.
	formats []models.Format
	// dirty has the clients whose outbox has something that can be written.
	dirty []*Client
	// hungry has the clients whose first replay can go on.
	hungry []*Client
	// fresh has the messages that came since the last round.
	fresh []*delivery
	// withRoom is where queue.takeWithRoom puts its result.
	withRoom  []*Client
	scratch   []byte
	delivered uint64
	written   uint64
	memory    outboxMemory
	// told counts the frames that presence made since the last round for it.
	told int
	// writes counts the writes since others could run.
	writes   int
	stopping bool

	// Written by the goroutine, read by anybody.
	stats shardStats
}

func newShard(index int, budget *budget, reader *reader, outboxSize int, pingInterval time.Duration) *shard {
	return &shard{
		index:       index,
		queue:       newQueue(),
		budget:      budget,
		reader:      reader,
		outboxSize:  outboxSize,
		stopped:     make(chan struct{}),
		heartbeat:   newHeartbeat(pingInterval),
		subscribers: newSubscribers(),
		replaying:   newSubscribers(),
		watchers:    newWatchers(),
		scratch:     make([]byte, 0, writeSize),
		stats:       shardStats{fanOut: newHistogram()},
	}
}

// run takes events until the shard is stopped and its last client has left.
func (s *shard) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(s.heartbeat.tick)
	defer ticker.Stop()
	var events []event
	s.ticks = ticker.C
	pause := time.NewTimer(feedPause)
	defer pause.Stop()
	for !s.stopping || s.heartbeat.clients > 0 {
		if len(s.dirty) == 0 {
			var breath <-chan time.Time
			if len(s.hungry) > 0 {
				// Were there always something to run, the runtime would look at the network 100
				// times a second, and publishers would wait for that.
				pause.Reset(feedPause)
				breath = pause.C
			}
			select {
			case <-s.queue.wake:
			case <-breath:
			case <-s.ticks:
				s.seen = s.order.seenBy(s)
				s.beat()
			}
		}
		events = s.queue.take(events)
		s.applyAll(events)
		if cap(events) > maxKeptEvents {
			events = nil
		}
	}
}

// applyAll applies events in order, and lets go of them. After every batch and at the end
// comes what waits besides: heartbeats, flushing, feeding. A batch is not larger than what
// a round writes for a client, so that nobody who keeps up falls behind.
func (s *shard) applyAll(events []event) {
	count, size := 0, 0
	for i := range events {
		e := events[i]
		events[i] = event{}
		if e.delivery != nil {
			size += e.delivery.message.Size()
			s.deliver(e.delivery)
		} else {
			e.apply(s)
		}
		if count++; count == batchSize || size >= writeSize {
			s.rounds()
			count, size = 0, 0
		}
	}
	s.rounds()
}

// rounds does a round of everything that must not wait for the end of the queue.
func (s *shard) rounds() {
	select {
	case <-s.ticks:
		s.beat()
	default:
	}
	s.flushRound()
	s.endFanOut()
	s.feedRound()
	s.stats.delivered.Store(s.delivered)
	s.stats.written.Store(s.written)
}

// endFanOut is for after a round: all that came before it has been offered to the connections
// of those that it was for.
func (s *shard) endFanOut() {
	if len(s.fresh) == 0 {
		return
	}
	now := s.clock.now()
	for _, d := range s.fresh {
		if d.offering.Add(-1) == 0 {
			s.stats.fanOut.observe(now - d.began)
		}
	}
	clear(s.fresh)
	s.fresh = s.fresh[:0]
}

// stop ends the shard after what is queued before it.
func (s *shard) stop() {
	s.queue.push(event{apply: func(s *shard) { s.stopping = true }})
}

// deliver queues a message for every client that has a matching subscription, once.
func (s *shard) deliver(d *delivery) {
	s.seen = d.message.ID
	if s.replaying.count > 0 {
		s.hold(d)
	}
	wire := int32(-1)
	var shared *payload
	for _, sub := range s.subscribers.match(d.message.Topic) {
		c := sub.client
		if c.wire != wire {
			wire = c.wire
			shared = d.payload(c.format)
		}
		f := frame{payload: shared, kind: sub.kind}
		if f.kind != kept {
			f.account = sub
			c.unplaced = true
		}
		s.enqueue(c, f)
	}
	s.fresh = append(s.fresh, d)
	if d.waiting.Add(-1) == 0 {
		s.budget.giveBack(d.message)
		s.budget.done(d.subscriptions)
		d.message, d.encoded = nil, nil // it stays until the end of its fan-out without them
	}
}

// list enters those of the subscriptions that are new, and gives all of them the options,
// for the messages from here on. Those that wait for a replay go on waiting.
func (s *shard) list(c *Client, subscriptions []*subscription, options models.SubscribeOptions) {
	for _, sub := range subscriptions {
		sub.kind = kindOf(options.Overflow)
		if sub.at < 0 {
			s.subscribers.add([]*subscription{sub})
			c.listed++
			s.stats.subscriptions.Add(1)
		}
	}
}

// unlist ends subscriptions, for the messages from here on.
func (s *shard) unlist(c *Client, subscriptions []*subscription) {
	for _, sub := range subscriptions {
		s.takeOut(sub)
	}
	c.listed -= int32(len(subscriptions)) //nolint:gosec // there are not that many
	s.stats.subscriptions.Add(-int64(len(subscriptions)))
}

// takeOut takes a subscription from where it is, live or replaying.
func (s *shard) takeOut(sub *subscription) {
	if sub.replay == nil {
		s.subscribers.remove(sub)
		return
	}
	s.replaying.remove(sub)
	s.leaveReplay(sub)
}

// tellGap says to every subscription that messages are missing.
func (s *shard) tellGap() {
	s.subscribers.each(s.sendGap)
	s.replaying.each(func(sub *subscription) { sub.replay.holdGap() })
}

func (s *shard) sendGap(sub *subscription) {
	s.stats.gaps.Add(1)
	s.send(sub.client, models.NewGapNotice(sub.pattern))
}

// beat sends a heartbeat to every client that is due for one. Who is live and heard nothing
// for an interval is told what the shard has seen of the log.
func (s *shard) beat() {
	wire := int32(-1)
	var alive, moved frame
	s.heartbeat.next(func(c *Client) {
		if c.wire != wire {
			wire = c.wire
			alive, moved = ownFrame(c.format.Heartbeat(models.ID{})), ownFrame(c.format.Heartbeat(s.seen))
		}
		f := alive
		if c.isQuiet(s.seen) {
			f = moved
		}
		if len(f.bytes()) > 0 {
			s.enqueue(c, f)
		}
	})
}

// isQuiet tells whether the client should be told of the position: since the last
// heartbeat the log has gone on and nothing of it was for the client. It remembers for the
// next time.
func (c *Client) isQuiet(seen models.ID) bool {
	delivered, beat := c.delivered.Load(), &c.beat
	quiet := c.listed > 0 && c.replays == nil && delivered == beat.delivered && seen.Sequence != beat.position
	beat.delivered, beat.position = delivered, seen.Sequence
	return quiet
}
