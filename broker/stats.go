package broker

import (
	"sync/atomic"

	"fanfare/models"
)

// Stats is what a PubSub has, and what it has done since its start.
type Stats struct {
	// Clients counts the clients by transport, until nothing is written to them any more.
	Clients map[models.Transport]int
	// Closes counts the clients that have left, each once, by the reason that counts.
	Closes map[models.CloseCode]uint64
	// Dropped counts the messages that an overflow policy dropped, for each client, by
	// policy. Every policy that drops has an entry.
	Dropped map[models.Overflow]uint64
	// Published counts the messages for which Publish gave a receipt.
	Published uint64
	// Delivered counts the messages written to a connection, for each client.
	Delivered uint64
	// QueuedBytes is what waits in the outboxes.
	QueuedBytes int64
	// Subscriptions counts those of all clients.
	Subscriptions int
	// Topics counts the topics that somebody is subscribed to, wildcards aside.
	Topics int
}

// Stats reads the counters, one after the other. It stops nobody and costs the same
// however many clients there are.
func (p *PubSub) Stats() Stats {
	stats := Stats{
		Dropped:   make(map[models.Overflow]uint64),
		Published: p.published.Load(),
		Topics:    p.dispatcher.interests.topics.len(),
	}
	stats.Clients, stats.Closes = p.census.counts()
	for _, s := range p.shards {
		stats.Delivered += s.stats.delivered.Load()
		stats.Dropped[models.OverflowLatest] += s.stats.droppedLatest.Load()
		stats.Dropped[models.OverflowDropOldest] += s.stats.droppedOldest.Load()
		stats.QueuedBytes += s.stats.queuedBytes.Load()
		stats.Subscriptions += int(s.stats.subscriptions.Load())
	}
	return stats
}

// shardStats is a shard's part of the Stats. The shard alone writes it.
type shardStats struct {
	delivered     atomic.Uint64
	droppedLatest atomic.Uint64
	droppedOldest atomic.Uint64
	queuedBytes   atomic.Int64
	subscriptions atomic.Int64
}
