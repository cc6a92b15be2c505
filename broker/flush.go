package broker

import (
	"math"
	"runtime"

	"fanfare/models"
)

// This file is what a shard does with its clients' outboxes.

// add makes the client one of the shard's, and greets it.
func (s *shard) add(c *Client, welcome models.ServerFrame) {
	s.heartbeat.add(c)
	s.send(c, welcome)
}

// send queues a frame of the client's own.
func (s *shard) send(c *Client, f models.ServerFrame) {
	s.enqueue(c, frame{bytes: c.format.Event(f)})
}

// enqueue puts a frame into a client's outbox. A client whose outbox is full, although
// its connection was offered all of it just now, is closed.
func (s *shard) enqueue(c *Client, f frame) {
	if c.closing != 0 {
		return
	}
	if c.outbox.cost()+f.cost() > s.outboxSize {
		c.blocked = false
		s.flush(c, math.MaxInt)
		if c.outbox.cost()+f.cost() > s.outboxSize {
			s.close(c, models.CloseSlowConsumer)
			return
		}
	}
	s.push(c, f)
}

func (s *shard) push(c *Client, f frame) {
	c.outbox.push(f, &s.memory)
	if c.blocked {
		s.countQueued(c)
		return
	}
	s.markDirty(c)
}

func (s *shard) markDirty(c *Client) {
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// flushRound writes some of what waits for the dirty clients, and for those whose
// connection has room again. A client for which there is more stays dirty: the next
// round comes after the events that have come meanwhile, so that nobody waits for a
// large outbox of somebody else's.
func (s *shard) flushRound() {
	s.withRoom = s.queue.takeWithRoom(s.withRoom)
	for _, c := range s.withRoom {
		c.blocked = false
		s.markDirty(c)
	}
	clear(s.withRoom)
	more := s.dirty[:0]
	for _, c := range s.dirty {
		s.flush(c, writeSize)
		if c.dirty = c.outbox.size > 0 && !c.blocked; c.dirty {
			more = append(more, c)
		}
	}
	clear(s.dirty[len(more):])
	s.dirty = more
}

// flush writes what waits for a client until its connection takes no more, or enough
// bytes are written.
func (s *shard) flush(c *Client, enough int) {
	for written := 0; c.outbox.size > 0 && !c.blocked && written < enough; {
		chunk := c.outbox.chunk(s.scratch)
		n, err := c.conn.Write(chunk, c.room)
		written += n
		if s.writes++; s.writes == writesAtOnce {
			s.writes = 0
			runtime.Gosched()
		}
		s.countDelivered(c, c.outbox.advance(n, &s.memory))
		if err != nil {
			s.lose(c)
		}
		c.blocked = err == nil && n < len(chunk)
	}
	s.countQueued(c)
	if c.removing && c.outbox.size == 0 {
		s.finish(c)
	}
}

func (s *shard) countDelivered(c *Client, messages int) {
	if messages > 0 {
		c.delivered.Add(uint64(messages))
		s.stats.delivered.Add(uint64(messages))
	}
}

func (s *shard) countQueued(c *Client) {
	size := int64(c.outbox.size)
	if was := c.queued.Load(); was != size {
		c.queued.Store(size)
		s.stats.queuedBytes.Add(size - was)
	}
}

// lose gives up a connection that cannot be written to. Its owner removes the client.
func (s *shard) lose(c *Client) {
	c.outbox = outbox{}
	if c.closing == 0 {
		c.closing = models.CloseAbnormal
		c.conn.Close(c.closing)
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

// remove ends a client whose connection has ended on the peer's side. A peer that may
// still read gets a last close frame, in place of what waits for it, unless it got
// another before. Then, or when the connection's time is up, the client is forgotten.
func (s *shard) remove(c *Client, subscriptions []*subscription, code models.CloseCode) {
	if c.removing {
		return
	}
	c.removing = true
	s.unlist(subscriptions)
	if code == models.CloseAbnormal {
		s.lose(c)
	} else if c.closing == 0 {
		c.outbox.discard()
		s.close(c, code)
	}
	s.markDirty(c)
}

// finish forgets a client to whose connection nothing will be written any more.
func (s *shard) finish(c *Client) {
	if s.heartbeat.remove(c) {
		close(c.removed)
	}
}
