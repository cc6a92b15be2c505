package broker

import (
	"context"
	"math/bits"
	"sync"

	"fanfare/models"
)

// dispatcher hands messages and changes to the shards, in one order for all. It is
// the Sink of the engine. Methods may be called concurrently, except for Deliver.
type dispatcher struct {
	// Set by newDispatcher, never changed.
	budget  *budget
	shards  []*shard
	maxSubs int

	// mu makes a place in the order: whoever holds it stands between two messages.
	mu        sync.Mutex
	position  models.ID
	interests *interests
}

func newDispatcher(budget *budget, shards []*shard, maxSubs int) *dispatcher {
	return &dispatcher{
		budget:    budget,
		shards:    shards,
		maxSubs:   maxSubs,
		interests: newInterests(len(shards)),
	}
}

// Admit implements Sink.
func (d *dispatcher) Admit(ctx context.Context, batch Batch) error {
	return d.budget.take(ctx, batch)
}

// Deliver implements Sink.
func (d *dispatcher) Deliver(batch Batch) (subscriptions int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if batch.Gap {
		d.tellGapLocked()
	}
	for _, m := range batch.Messages {
		subscriptions += d.deliverLocked(m)
	}
	return subscriptions
}

func (d *dispatcher) deliverLocked(m *models.Message) (subscriptions int) {
	switch {
	case m.ID.Epoch != d.position.Epoch:
		// Another life of the log: whatever the last one still had is lost.
		if d.position.Epoch != "" {
			d.tellGapLocked()
		}
	case m.ID.Sequence <= d.position.Sequence:
		d.budget.giveBack(m)
		return 0
	}
	d.position = m.ID
	shards, subscriptions := d.interests.match(m.Topic)
	if shards == 0 {
		d.budget.giveBack(m)
		return 0
	}
	e := event{delivery: &delivery{message: m}}
	e.delivery.waiting.Store(int32(bits.OnesCount64(uint64(shards)))) //nolint:gosec // at most 64
	for ; shards != 0; shards &= shards - 1 {
		d.shards[bits.TrailingZeros64(uint64(shards))].queue.push(e)
	}
	return subscriptions
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

// start sets where delivery begins.
func (d *dispatcher) start(position models.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.position = position
}

// subscribe adds those of the patterns that are new to the client, or none of them,
// and queues apply with them at the position that it has in the order.
func (d *dispatcher) subscribe(
	c *Client, patterns []models.Pattern, apply func(s *shard, added []*subscription, position models.ID),
) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	added, err := c.addSubscriptions(patterns, d.maxSubs)
	if err != nil {
		return err
	}
	for _, sub := range added {
		d.interests.add(sub.pattern, c.shard.index)
	}
	position := d.position
	c.shard.queue.push(event{apply: func(s *shard) { apply(s, added, position) }})
	return nil
}

// unsubscribe removes the client's subscriptions to the patterns, or fails if there is
// one that it does not have, and queues apply with them.
func (d *dispatcher) unsubscribe(
	c *Client, patterns []models.Pattern, apply func(s *shard, removed []*subscription, position models.ID),
) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	removed, err := c.removeSubscriptions(patterns)
	if err != nil {
		return err
	}
	for _, sub := range removed {
		d.interests.remove(sub.pattern, c.shard.index)
	}
	position := d.position
	c.shard.queue.push(event{apply: func(s *shard) { apply(s, removed, position) }})
	return nil
}

// leave takes all subscriptions from a client for good, and queues apply with them.
func (d *dispatcher) leave(c *Client, apply func(s *shard, removed []*subscription)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	removed := c.leave()
	for _, sub := range removed {
		d.interests.remove(sub.pattern, c.shard.index)
	}
	c.shard.queue.push(event{apply: func(s *shard) { apply(s, removed) }})
}
