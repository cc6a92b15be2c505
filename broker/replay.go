package broker

import (
	"slices"
	"time"

	"fanfare/models"
)

const (
	// feedSize is how much of all replays a shard puts into outboxes in one round, and
	// feedShare how much of one client's, in bytes.
	feedSize  = 64 << 10
	feedShare = 16 << 10
	// feedPause is how long a shard that has nothing else to do waits after each round.
	feedPause = 50 * time.Microsecond
	// maxHeld and maxHeldSize bound the messages, and their bytes, that a replay holds
	// back. With more, it reads them from the log.
	maxHeld     = 1024
	maxHeldSize = 256 << 10
)

// replay brings the subscriptions of one subscribe from a place in the log to the
// present. It reads the log page by page, and puts a page into the client's outbox as the
// client takes it. Live messages that match are held back meanwhile, as far as there is
// room; others are read later. When everything that was read is in the outbox, so is what
// was held back, and then the subscriptions are live: that happens in the shard, between
// two messages, so nothing is missed and nothing comes twice.
//
// Of a client's replays only the first one runs. The others have nothing in memory.
type replay struct {
	// Set by newReplay, never changed. caughtUp has the topics of the request.
	client   *Client
	caughtUp models.CaughtUp

	// over is closed when nobody waits for the replay any more. The shard closes it.
	over chan struct{}

	// Owned by the shard.

	// next is the client's next replay.
	next *replay
	// subs has the subscriptions that are still waiting. narrowed tells that some are not
	// any more, so that what was read before may be for nobody.
	subs     []*subscription
	narrowed bool
	// read is up to where the log has been read, target up to where it has to be.
	read, target models.ID
	reading      bool
	// ready was read and waits for room in the outbox.
	ready []replayed
	// held has the live messages that matched after heldFrom, newest is the last that
	// matched. All that the shard has seen up to heldFrom is to be read.
	held             []replayed
	heldFrom, newest models.ID
	heldSize         int
	// known is up to when the client knows, or is going to be told, what is missing anywhere,
	// and removals up to when what is missing up to target: what target moves over may have
	// been removed before that, where delivery is late. gap tells that something is missing,
	// before what comes next.
	known, removals Removals
	gap             bool
}

// replayed is a message in its client's wire format, or, without a payload, a place where
// messages are missing.
type replayed struct {
	id      models.ID
	payload *payload
}

func newReplay(c *Client, ack models.Ack, begin beginning) *replay {
	return &replay{client: c, caughtUp: models.NewCaughtUp(ack, begin.after), read: begin.after, known: begin.removals, removals: begin.removals, over: make(chan struct{})}
}

// startReplay has subscriptions wait for a replay. The shard has seen everything up to
// position.
func (s *shard) startReplay(r *replay, subs []*subscription, position models.ID) {
	c := r.client
	if c.closing != 0 {
		return
	}
	for _, sub := range subs {
		s.takeOut(sub)
		sub.replay = r
	}
	s.replaying.add(subs)
	r.subs = slices.Clone(subs)
	r.target, r.heldFrom, r.newest = position, position, position
	end := &c.replays
	for *end != nil {
		end = &(*end).next
	}
	*end = r
	s.stats.replays.Add(1)
	s.feedSoon(c)
}

// endReplay has a replay end before its time.
func (s *shard) endReplay(r *replay) {
	if !r.isOver() {
		close(r.over)
	}
	r.ready, r.held = nil, nil
	c := r.client
	for at := &c.replays; *at != nil; at = &(*at).next {
		if *at == r {
			*at = r.next
			s.stats.replays.Add(-1)
			s.feedSoon(c)
			return
		}
	}
}

// endReplays ends those of a client that is closed.
func (s *shard) endReplays(c *Client) {
	for c.replays != nil {
		s.endReplay(c.replays)
	}
}

// leaveReplay takes a subscription out of its replay.
func (s *shard) leaveReplay(sub *subscription) {
	r := sub.replay
	sub.replay = nil
	r.narrowed = true
	if r.subs = slices.DeleteFunc(r.subs, func(other *subscription) bool { return other == sub }); len(r.subs) == 0 {
		s.endReplay(r)
	}
}

// hold keeps a live message for the replays that it is due in later.
func (s *shard) hold(d *delivery) {
	s.replaying.eachMatch(d.message.Topic, func(sub *subscription) {
		r := sub.replay
		if r.newest == d.message.ID || r.isOver() {
			return
		}
		r.newest = d.message.ID
		if r.client.replays == r {
			p := d.payload(r.client.format)
			if len(r.held) < maxHeld && r.heldSize+len(p.bytes) <= maxHeldSize {
				r.held = append(r.held, replayed{d.message.ID, p})
				r.heldSize += len(p.bytes)
				return
			}
		}
		r.held, r.heldSize, r.heldFrom = nil, 0, d.message.ID
	})
}

// holdGap keeps for later that what comes next comes behind a gap. If the replay comes to
// read it from the log instead, that knows better.
func (r *replay) holdGap() {
	if last := len(r.held) - 1; !r.isOver() && (last < 0 || r.held[last].payload != nil) {
		r.held = append(r.held, replayed{})
	}
}

// feedSoon sees to it that the client's first replay goes on, if it can.
func (s *shard) feedSoon(c *Client) {
	if c.replays != nil && !c.hungry && s.canFeed(c, c.replays) {
		c.hungry = true
		s.hungry = append(s.hungry, c)
	}
}

// canFeed tells whether a replay has something to do, and room for it in the outbox.
func (s *shard) canFeed(c *Client, r *replay) bool {
	switch {
	case c.closing != 0 || c.blocked:
		return false
	case len(r.ready) == 0:
		return !r.reading
	case c.outbox.empty():
		return true
	default:
		return c.outbox.cost() < feedSize && s.fits(c, frame{payload: r.ready[0].payload})
	}
}

// feedRound feeds some of the clients whose replays can go on, each a little, so that
// nobody else waits for long.
func (s *shard) feedRound() {
	served := 0
	for all, fed := len(s.hungry), 0; served < all && fed < feedSize; served++ {
		c := s.hungry[served]
		c.hungry = false
		for share := feedShare; share > 0 && c.replays != nil && s.canFeed(c, c.replays); {
			n := s.feed(c, c.replays)
			share, fed = share-n, fed+n
		}
		s.flush(c, writeSize)
	}
	s.hungry = slices.Delete(s.hungry, 0, served)
}

// feed puts the next message of a replay into the client's outbox, or gets what is next. It
// counts the bytes.
func (s *shard) feed(c *Client, r *replay) int {
	if len(r.ready) == 0 {
		s.goOn(r)
		return 0
	}
	if c.unplaced {
		return s.placeReplay(c)
	}
	next := r.ready[0]
	r.ready[0] = replayed{}
	r.ready = r.ready[1:]
	switch {
	case next.payload == nil:
		r.gap = true
		return 0
	case r.narrowed && !r.wants(next.payload.topic):
		return 0
	}
	s.tellReplayGap(r)
	s.enqueue(c, frame{payload: next.payload, kind: kept})
	return len(next.payload.bytes)
}

// placeReplay sends the position before what a replay brings next. A client takes for live
// what is above all that it has seen. If the live messages up to there were dropped, it
// would take for one of them what is of the replay.
func (s *shard) placeReplay(c *Client) int {
	c.unplaced = false
	f := ownFrame(c.format.Heartbeat(s.seen))
	s.enqueue(c, f)
	return len(f.bytes())
}

// goOn is for a replay that has nothing ready: it reads on, or takes what was held back,
// or ends.
func (s *shard) goOn(r *replay) {
	switch {
	case r.read != r.target:
		s.reader.read(r, s)
	case r.target != r.heldFrom:
		r.target, r.removals = r.heldFrom, r.known
		s.reader.read(r, s)
	case len(r.held) > 0:
		r.ready, r.held, r.heldSize = r.held, nil, 0
		r.read, r.target, r.heldFrom = r.newest, r.newest, r.newest
	default:
		s.catchUp(r)
	}
}

// takePage takes what was read for a replay.
func (s *shard) takePage(r *replay, p page) {
	r.reading = false
	if r.isOver() {
		return
	}
	if r.removals = p.stretch.Removals; !p.stretch.Follows(r.read) {
		r.gap, r.known = true, r.removals
	}
	switch reached := p.stretch.Reached; reached.Epoch {
	case r.target.Epoch:
		r.ready, r.read = p.messages, reached
	case r.heldFrom.Epoch:
		// The log that it was to read is gone, and of the new one not all is held.
		r.read, r.target = reached, r.heldFrom
	default:
		r.read, r.target = r.heldFrom, r.heldFrom
	}
	s.feedSoon(r.client)
}

// catchUp makes the subscriptions of a replay live.
func (s *shard) catchUp(r *replay) {
	s.tellReplayGap(r)
	for _, sub := range r.subs {
		s.replaying.remove(sub)
		sub.replay = nil
	}
	s.subscribers.add(r.subs)
	r.caughtUp.ID = r.read
	s.send(r.client, r.caughtUp)
	s.endReplay(r)
}

// tellReplayGap says to the replay's subscriptions that something is missing, if it is.
func (s *shard) tellReplayGap(r *replay) {
	if !r.gap {
		return
	}
	r.gap = false
	for _, sub := range r.subs {
		s.sendGap(sub)
	}
}

func (r *replay) isOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// patterns gives what the replay is for.
func (r *replay) patterns() []models.Pattern {
	patterns := make([]models.Pattern, 0, len(r.subs))
	for _, sub := range r.subs {
		patterns = append(patterns, sub.pattern)
	}
	return patterns
}

func (r *replay) wants(t models.Topic) bool {
	return slices.ContainsFunc(r.subs, func(sub *subscription) bool { return sub.pattern.Matches(t) })
}
