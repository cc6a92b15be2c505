package broker

import (
	"time"

	"fanfare/models"
)

const (
	// batchSize is how many events a shard applies before it flushes.
	batchSize = 64
	// writeSize is how much of an outbox leaves in one write, in bytes.
	writeSize = 64 << 10
	// maxKeptEvents is the length beyond which an emptied queue is given back.
	maxKeptEvents = 16 << 10
)

// shard owns a share of the clients, what they are subscribed to and their outboxes:
// everything here happens in its one goroutine, and needs no lock.
type shard struct {
	// Set by newShard, never changed.
	index        int
	queue        *queue
	budget       *budget
	outboxSize   int
	pingInterval time.Duration
	stopped      chan struct{}

	// Owned by the goroutine.
	clients     map[*Client]struct{}
	subscribers *patternMap[*subscriberList]
	// dirty has the clients whose outbox has something that can be written.
	dirty []*Client
	// deliveries counts what was delivered, so that a client gets a message once.
	deliveries uint64
	scratch    []byte
	memory     frameMemory
	stopping   bool
}

// subscriberList has a pattern's subscriptions, in no order.
type subscriberList struct{ all []*subscription }

func newShard(index int, budget *budget, outboxSize int, pingInterval time.Duration) *shard {
	return &shard{
		index:        index,
		queue:        newQueue(),
		budget:       budget,
		outboxSize:   outboxSize,
		pingInterval: pingInterval,
		stopped:      make(chan struct{}),
		clients:      make(map[*Client]struct{}),
		subscribers:  newPatternMap[*subscriberList](),
		scratch:      make([]byte, 0, writeSize),
	}
}

// run takes events until the shard is stopped and its last client has left.
func (s *shard) run() {
	defer close(s.stopped)
	sweep := time.NewTicker(max(min(time.Second, s.pingInterval/4), time.Millisecond))
	defer sweep.Stop()
	var events []event
	for !s.stopping || len(s.clients) > 0 {
		select {
		case <-s.queue.wake:
		case now := <-sweep.C:
			s.ping(now)
		}
		events = s.queue.take(events)
		s.applyAll(events)
		clear(events)
		if cap(events) > maxKeptEvents {
			events = nil
		}
	}
}

// applyAll applies events in order and flushes after every batchSize of them.
func (s *shard) applyAll(events []event) {
	for i, e := range events {
		if e.delivery != nil {
			s.deliver(e.delivery)
		} else {
			e.apply(s)
		}
		if i%batchSize == batchSize-1 {
			s.flushAll()
		}
	}
	s.flushAll()
}

// stop ends the shard after what is queued before it.
func (s *shard) stop() {
	s.queue.push(event{apply: func(s *shard) { s.stopping = true }})
}

// deliver queues a message for every client that has a matching subscription, once.
func (s *shard) deliver(d *delivery) {
	s.deliveries++
	var format models.Format
	var f frame
	s.subscribers.match(d.message.Topic, func(list *subscriberList) {
		for _, sub := range list.all {
			c := sub.client
			if c.lastSeen == s.deliveries {
				continue
			}
			c.lastSeen = s.deliveries
			if c.format != format {
				format = c.format
				f = frame{bytes: d.frame(format), message: true}
			}
			s.enqueue(c, f)
		}
	})
	if d.waiting.Add(-1) == 0 {
		s.budget.giveBack(d.message)
	}
}

// send queues a frame of the client's own.
func (s *shard) send(c *Client, f models.ServerFrame) {
	s.enqueue(c, frame{bytes: c.format.Event(f)})
}

// enqueue puts a frame into a client's outbox. A client whose outbox is full, although
// its connection was offered all of it, is closed.
func (s *shard) enqueue(c *Client, f frame) {
	if c.closing != 0 {
		return
	}
	if c.outbox.size+len(f.bytes) > s.outboxSize {
		s.flush(c)
		if c.outbox.size+len(f.bytes) > s.outboxSize {
			s.close(c, models.CloseSlowConsumer)
			return
		}
	}
	s.push(c, f)
}

func (s *shard) push(c *Client, f frame) {
	c.outbox.push(f, &s.memory)
	switch {
	case c.blocked:
		c.queued.Store(int64(c.outbox.size))
	case !c.dirty:
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// close queues the close frame, behind what waits or, for a slow consumer, in its
// place. The connection ends in a bounded time; then its owner removes the client.
func (s *shard) close(c *Client, code models.CloseCode) {
	if c.closing != 0 {
		return
	}
	c.closing = code
	if code == models.CloseSlowConsumer {
		c.outbox.discard()
	}
	s.push(c, frame{bytes: c.format.Close(code)})
	c.conn.Close(code)
}

// flushAll writes what waits for the dirty clients, as far as it goes.
func (s *shard) flushAll() {
	for _, c := range s.dirty {
		c.dirty = false
		s.flush(c)
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

func (s *shard) flush(c *Client) {
	for c.outbox.size > 0 && !c.blocked {
		chunk := c.outbox.chunk(s.scratch)
		n, err := c.conn.Write(chunk, c.room)
		c.delivered.Add(uint64(c.outbox.advance(n, &s.memory))) //nolint:gosec // a count
		if err != nil {
			// The connection's owner removes the client.
			c.outbox = outbox{}
			if c.closing == 0 {
				c.closing = models.CloseAbnormal
				c.conn.Close(c.closing)
			}
		}
		c.blocked = err == nil && n < len(chunk)
	}
	c.queued.Store(int64(c.outbox.size))
}

// unblock goes on with a client whose connection has room again.
func (s *shard) unblock(c *Client) {
	c.blocked = false
	s.flush(c)
}

// add makes the client one of the shard's, and greets it.
func (s *shard) add(c *Client, welcome models.ServerFrame) {
	s.clients[c] = struct{}{}
	c.nextPing = time.Now().Add(s.pingInterval)
	s.send(c, welcome)
}

// remove forgets the client, after a last close frame if none has been sent. The
// reason is the first that was given.
func (s *shard) remove(c *Client, subscriptions []*subscription, code models.CloseCode) {
	if _, present := s.clients[c]; !present {
		return
	}
	delete(s.clients, c)
	s.unlist(subscriptions)
	if code == models.CloseAbnormal && c.closing == 0 {
		c.closing = code
	}
	s.close(c, code)
	s.flush(c)
	// Whatever is left now will not be written.
	c.outbox, c.blocked = outbox{}, true
	c.queued.Store(0)
	close(c.removed)
}

// list enters subscriptions, for the messages from here on.
func (s *shard) list(subscriptions []*subscription) {
	for _, sub := range subscriptions {
		list, found := s.subscribers.get(sub.pattern)
		if !found {
			list = &subscriberList{}
			s.subscribers.set(sub.pattern, list)
		}
		sub.at = len(list.all)
		list.all = append(list.all, sub)
	}
}

// unlist ends subscriptions, for the messages from here on.
func (s *shard) unlist(subscriptions []*subscription) {
	for _, sub := range subscriptions {
		list, _ := s.subscribers.get(sub.pattern)
		last := len(list.all) - 1
		list.all[sub.at] = list.all[last]
		list.all[sub.at].at = sub.at
		list.all[last] = nil
		if list.all = list.all[:last]; last == 0 {
			s.subscribers.delete(sub.pattern)
		}
	}
}

// tellGap says to every subscription that messages are missing.
func (s *shard) tellGap() {
	s.subscribers.each(func(list *subscriberList) {
		for _, sub := range list.all {
			s.send(sub.client, models.NewGapNotice(sub.pattern))
		}
	})
}

// ping sends a heartbeat to every client that is due for one.
func (s *shard) ping(now time.Time) {
	for c := range s.clients {
		if now.Before(c.nextPing) {
			continue
		}
		c.nextPing = now.Add(s.pingInterval)
		if c.closing == 0 {
			s.push(c, frame{bytes: c.format.Ping()})
		}
	}
}
