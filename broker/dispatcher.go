package broker

import (
	"context"
	"math/bits"
	"slices"
	"sync"
	"time"

	"fanfare/models"
)

// dispatcher hands messages and changes to the shards, in one order for all. It is
// the Sink of the engine. Methods may be called concurrently, except for Deliver.
type dispatcher struct {
	// Set by newDispatcher, never changed.
	budget   *budget
	shards   []*shard
	maxSubs  int
	presence *presence
	clock    clock
	// following counts the subscriptions.
	following *following

	// mu makes a place in the order: whoever holds it stands between two messages.
	mu        sync.Mutex
	position  models.ID
	interests *interests
}

func newDispatcher(budget *budget, shards []*shard, maxSubs int) *dispatcher {
	d := &dispatcher{
		budget:    budget,
		shards:    shards,
		maxSubs:   maxSubs,
		presence:  newPresence(len(shards), budget),
		interests: newInterests(len(shards)),
		clock:     newClock(),
	}
	for _, s := range shards {
		s.order, s.clock = d, d.clock
	}
	return d
}

// Admit implements Sink.
func (d *dispatcher) Admit(ctx context.Context, batch Batch) error {
	return d.budget.take(ctx, batch)
}

// Dismiss implements Sink.
func (d *dispatcher) Dismiss(batch Batch) {
	for _, m := range batch.Messages {
		d.budget.giveBack(m)
	}
}

// Deliver implements Sink.
func (d *dispatcher) Deliver(batch Batch) (subscriptions int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if batch.Gap {
		d.tellGapLocked()
	}
	now := d.clock.now()
	for _, m := range batch.Messages {
		subscriptions += d.deliverLocked(m, now)
	}
	d.moveLocked(batch.Reached)
	return subscriptions
}

// Subscriptions implements Sink.
func (d *dispatcher) Subscriptions(topic models.Topic) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, subscriptions := d.interests.match(topic)
	return subscriptions
}

func (d *dispatcher) deliverLocked(m *models.Message, now time.Duration) (subscriptions int) {
	if !d.moveLocked(m.ID) {
		d.budget.giveBack(m)
		return 0
	}
	shards, subscriptions := d.interests.match(m.Topic)
	if shards == 0 {
		d.budget.giveBack(m)
		return 0
	}
	d.budget.begin(subscriptions)
	e := event{delivery: &delivery{message: m, subscriptions: subscriptions, began: now}}
	count := int32(bits.OnesCount64(uint64(shards))) //nolint:gosec // at most 64
	e.delivery.waiting.Store(count)
	e.delivery.offering.Store(count)
	for ; shards != 0; shards &= shards - 1 {
		d.shards[bits.TrailingZeros64(uint64(shards))].queue.push(e)
	}
	return subscriptions
}

// moveLocked moves the position on to a place, unless it is there or beyond.
func (d *dispatcher) moveLocked(to models.ID) bool {
	switch {
	case to.Epoch != d.position.Epoch:
		if to.Epoch == "" {
			return false
		}
		// Another life of the log: whatever the last one still had is lost.
		if d.position.Epoch != "" {
			d.tellGapLocked()
		}
	case to.Sequence <= d.position.Sequence:
		return false
	}
	d.position = to
	return true
}

func (d *dispatcher) tellGapLocked() {
	for _, s := range d.shards {
		s.queue.push(event{apply: (*shard).tellGap})
	}
}

// delivered is the position up to which messages have been handed to the shards.
func (d *dispatcher) delivered() models.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.position
}

// hasDelivered tells whether a place in the log has been handed to the shards.
func (d *dispatcher) hasDelivered(id models.ID) bool {
	position := d.delivered()
	return id.Sequence == 0 || id.Epoch == position.Epoch && id.Sequence <= position.Sequence
}

// begin sets where delivery begins, unless it has come further already. Nobody listens yet.
func (d *dispatcher) begin(position models.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moveLocked(position)
}

// change is what a shard does with subscriptions at a position in the order.
type change func(s *shard, subscriptions []*subscription, position models.ID)

// subscribe adds those of the patterns that are new to the client, or none of them,
// and queues apply with the subscriptions to all of them. The interest is counted before
// that: it may count too much for a moment, but never too little. Those of the subscriptions
// that watch go on watching only if that is asked for again, which is left to watch.
func (d *dispatcher) subscribe(
	c *Client, patterns []models.Pattern, watches bool, apply change,
) (all []*subscription, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, added, err := c.addSubscriptionsLocked(patterns, d.maxSubs)
	if err != nil {
		return nil, err
	}
	d.count(added, d.interests.add)
	d.following.add(len(added))
	d.presence.enter(c, added, d.shards) // before the ack, after which it must be so
	d.queue(c, all, apply)
	if !watches {
		d.presence.unwatch(c, all)
	}
	return all, nil
}

// watch has those of the subscriptions watch that the client still has. It gives them, and the
// members of the moment since which they watch.
func (d *dispatcher) watch(c *Client, subs []*subscription) (watching []*subscription, members *members) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range subs {
		if at, found := c.findLocked(sub.pattern); found && c.subscriptions[at] == sub {
			watching = append(watching, sub)
		}
	}
	return watching, d.presence.watch(c, watching)
}

// unsubscribe removes the client's subscriptions to the patterns, or fails if there is
// one that it does not have, and queues apply with them. The interest is uncounted
// after that: here, too, it may count too much for a moment.
func (d *dispatcher) unsubscribe(c *Client, patterns []models.Pattern, apply change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	removed, err := c.removeSubscriptionsLocked(patterns)
	if err != nil {
		return err
	}
	d.end(c, removed, apply)
	return nil
}

// leave takes all subscriptions from a client for good, and queues apply with them.
func (d *dispatcher) leave(c *Client, apply change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.end(c, c.leaveLocked(), apply)
}

func (d *dispatcher) end(c *Client, removed []*subscription, apply change) {
	d.presence.leave(c, removed, d.shards)
	d.queue(c, removed, apply)
	d.count(removed, d.interests.remove)
	d.following.release(len(removed))
}

// seenBy gives the position if the shard, which asks, has nothing of before it left to do.
// Otherwise it is what the shard has seen before.
func (d *dispatcher) seenBy(s *shard) models.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.queue.isEmpty() {
		return d.position
	}
	return s.seen
}

// queue gives a change its place in the order.
func (d *dispatcher) queue(c *Client, subscriptions []*subscription, apply change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	position := d.position
	c.shard.queue.push(event{apply: func(s *shard) {
		s.seen = position
		apply(s, subscriptions, position)
	}})
}

// count adds or removes interest, few at a time, so that publishers wait only shortly.
func (d *dispatcher) count(subscriptions []*subscription, change func(p models.Pattern, shard int)) {
	const atOnce = 32
	for some := range slices.Chunk(subscriptions, atOnce) {
		d.mu.Lock()
		for _, sub := range some {
			change(sub.pattern, sub.client.shard.index)
		}
		d.mu.Unlock()
	}
}
