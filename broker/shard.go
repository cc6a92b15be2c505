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
	outboxSize int
	stopped    chan struct{}

	// Owned by the goroutine.
	heartbeat   *heartbeat
	subscribers *subscribers
	// formats has the wire formats of the clients.
	formats []models.Format
	// dirty has the clients whose outbox has something that can be written.
	dirty []*Client
	// withRoom is where queue.takeWithRoom puts its result.
	withRoom  []*Client
	scratch   []byte
	delivered uint64
	memory    outboxMemory
	// writes counts the writes since others could run.
	writes   int
	stopping bool

	// Written by the goroutine, read by anybody.
	stats shardStats
}

func newShard(index int, budget *budget, outboxSize int, pingInterval time.Duration) *shard {
	return &shard{
		index:       index,
		queue:       newQueue(),
		budget:      budget,
		outboxSize:  outboxSize,
		stopped:     make(chan struct{}),
		heartbeat:   newHeartbeat(pingInterval),
		subscribers: newSubscribers(),
		scratch:     make([]byte, 0, writeSize),
	}
}

// run takes events until the shard is stopped and its last client has left.
func (s *shard) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(s.heartbeat.tick)
	defer ticker.Stop()
	var events []event
	for !s.stopping || s.heartbeat.clients > 0 {
		if len(s.dirty) == 0 {
			select {
			case <-s.queue.wake:
			case <-ticker.C:
				s.ping()
			}
		} else {
			select {
			case <-ticker.C:
				s.ping()
			default:
			}
		}
		events = s.queue.take(events)
		s.applyAll(events)
		clear(events)
		if cap(events) > maxKeptEvents {
			events = nil
		}
	}
}

// applyAll applies events in order, with a round of flushing after every batch and at
// the end. A batch is not larger than what a round writes for a client, so that nobody
// who keeps up falls behind.
func (s *shard) applyAll(events []event) {
	count, size := 0, 0
	for _, e := range events {
		if e.delivery != nil {
			size += len(e.delivery.message.Data)
			s.deliver(e.delivery)
		} else {
			e.apply(s)
		}
		if count++; count == batchSize || size >= writeSize {
			s.flushRound()
			count, size = 0, 0
		}
	}
	s.flushRound()
}

// stop ends the shard after what is queued before it.
func (s *shard) stop() {
	s.queue.push(event{apply: func(s *shard) { s.stopping = true }})
}

// deliver queues a message for every client that has a matching subscription, once.
func (s *shard) deliver(d *delivery) {
	wire := -1
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
		}
		s.enqueue(c, f)
	}
	if d.waiting.Add(-1) == 0 {
		s.budget.giveBack(d.message)
	}
}

// list enters subscriptions, or gives those that are there other options, for the
// messages from here on.
func (s *shard) list(subscriptions []*subscription, options models.SubscribeOptions) {
	added := s.subscribers.add(subscriptions, kindOf(options.Overflow))
	s.stats.subscriptions.Add(int64(added))
}

// unlist ends subscriptions, for the messages from here on.
func (s *shard) unlist(subscriptions []*subscription) {
	s.subscribers.remove(subscriptions)
	s.stats.subscriptions.Add(-int64(len(subscriptions)))
}

// tellGap says to every subscription that messages are missing.
func (s *shard) tellGap() {
	s.subscribers.each(func(sub *subscription) {
		s.send(sub.client, models.NewGapNotice(sub.pattern))
	})
}

// ping sends a heartbeat to every client that is due for one.
func (s *shard) ping() {
	wire := -1
	var f frame
	s.heartbeat.next(func(c *Client) {
		if c.wire != wire {
			wire = c.wire
			f = ownFrame(c.format.Ping())
		}
		s.enqueue(c, f)
	})
}
