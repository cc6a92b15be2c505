package broker

import (
	"math"
	"runtime"
	"slices"

	"fanfare/models"
)

// This file is what a shard does with its clients' outboxes.

// add makes the client one of the shard's, and greets it.
func (s *shard) add(c *Client, welcome models.ServerFrame) {
	s.heartbeat.add(c)
	wire := slices.Index(s.formats, c.format)
	if wire < 0 {
		wire = len(s.formats)
		s.formats = append(s.formats, c.format)
	}
	c.wire = int32(wire) //nolint:gosec // there are few
	s.send(c, welcome)
}

// send queues a frame of the client's own, if its format has such a frame.
func (s *shard) send(c *Client, f models.ServerFrame) {
	if bytes := c.format.Event(f); len(bytes) > 0 {
		s.enqueue(c, ownFrame(bytes))
	}
}

// enqueue puts a frame into a client's outbox, as far as it has room or can be given
// some. Otherwise a message that may be dropped is, and for any other frame the client
// is closed.
func (s *shard) enqueue(c *Client, f frame) {
	if c.closing != 0 {
		return
	}
	if f.kind == latest && c.outbox.dropLatest(f.payload.topic, &s.memory) {
		s.countDropped(c, latest)
	}
	if s.fits(c, f) {
		s.push(c, f)
		return
	}
	s.makeRoom(c, f)
	switch {
	case c.closing != 0:
	case s.fits(c, f):
		s.push(c, f)
	case f.kind.droppable():
		c.outbox.refuse(f, &s.memory)
		s.countDropped(c, f.kind)
		s.touch(c)
	default:
		s.close(c, models.CloseSlowConsumer)
	}
}

func (s *shard) fits(c *Client, f frame) bool {
	return c.outbox.cost()+f.cost() <= s.outboxSize
}

// makeRoom offers the connection all that waits, unless it said that it is full and
// nothing since, and then drops what may be dropped until the frame fits. Before a
// client is closed for a frame, its connection has a last chance in any case.
func (s *shard) makeRoom(c *Client, f frame) {
	if !c.blocked || c.hasRoom.Load() {
		s.offer(c)
	}
	for !s.fits(c, f) {
		k, dropped := c.outbox.dropOldest(&s.memory)
		if !dropped {
			break
		}
		s.countDropped(c, k)
	}
	if !f.kind.droppable() && !s.fits(c, f) {
		s.offer(c)
	}
}

// offer writes as much as the connection takes.
func (s *shard) offer(c *Client) {
	s.unblock(c)
	s.flush(c, math.MaxInt)
}

func (s *shard) unblock(c *Client) {
	c.blocked = false
	c.hasRoom.Store(false)
}

func (s *shard) push(c *Client, f frame) {
	if f.kind != kept {
		c.outbox.enter(f, &s.memory)
	}
	c.outbox.push(f, &s.memory)
	s.touch(c)
}

// touch sees to it that what was put into an outbox is written, or counted.
func (s *shard) touch(c *Client) {
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
		s.unblock(c)
		s.markDirty(c)
	}
	clear(s.withRoom)
	more := s.dirty[:0]
	for _, c := range s.dirty {
		s.flush(c, writeSize)
		if c.dirty = !c.outbox.empty() && !c.blocked; c.dirty {
			more = append(more, c)
		}
	}
	clear(s.dirty[len(more):])
	s.dirty = more
}

// flush writes what waits for a client until its connection takes no more, or enough
// bytes are written.
func (s *shard) flush(c *Client, enough int) {
	for written := 0; !c.outbox.empty() && !c.blocked && written < enough; {
		chunk := c.outbox.chunk(s.scratch)
		n, err := c.conn.Write(chunk, c.room)
		written += n
		s.written += uint64(n) //nolint:gosec // never negative
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
	if c.removing && c.outbox.empty() {
		s.finish(c)
		return
	}
	s.feedSoon(c)
}

func (s *shard) countDelivered(c *Client, messages int) {
	if messages > 0 {
		s.delivered += uint64(messages)
		c.delivered.Add(uint64(messages))
	}
}

func (s *shard) countDropped(c *Client, k kind) {
	c.dropped.Add(1)
	if k == latest {
		s.stats.droppedLatest.Add(1)
	} else {
		s.stats.droppedOldest.Add(1)
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
		s.endReplays(c)
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
	s.endReplays(c)
	if code == models.CloseSlowConsumer {
		c.outbox.discard()
	}
	s.push(c, ownFrame(c.format.Close(code)))
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
	s.unlist(c, subscriptions)
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
		c.removed.Done()
	}
}
