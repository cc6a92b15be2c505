package broker

import (
	"context"
	"sync/atomic"

	"fanfare/models"
)

// Stats is what a PubSub has, and what it has done since its start.
type Stats struct {
	// Clients counts the clients by transport, until nothing is written to them any more.
	Clients map[models.Transport]int
	// MaxClients is how many there may be, 0 for no limit, and MaxOutbox what the outbox of
	// each may hold, in bytes.
	MaxClients, MaxOutbox int
	// Closes counts the clients that have left, each once, by the reason that counts.
	Closes map[models.CloseCode]uint64
	// Dropped counts the messages that an overflow policy dropped, for each client, by
	// policy. Every policy that drops has an entry.
	Dropped map[models.Overflow]uint64
	// Published counts the messages for which Publish gave a receipt, and PublishedBytes
	// those of their data. PublishDuration is how long Publish took for them.
	Published, PublishedBytes uint64
	PublishDuration           Histogram
	// Delivered counts the messages written to a connection, for each client, and
	// WrittenBytes all bytes that were.
	Delivered, WrittenBytes uint64
	// FanOutDuration is, for each message that somebody here was subscribed to, how long it took
	// from the moment when this node had it in its place until the connection of every
	// subscriber had been offered what its outbox held. It is not for what a connection did
	// not take then, nor for replays.
	FanOutDuration Histogram
	// Pending counts deliveries, one for each matching subscription, that the shards have not
	// got to yet.
	Pending int
	// QueuedBytes is what waits in the outboxes.
	QueuedBytes int64
	// Subscriptions counts those of all clients.
	Subscriptions int
	// Topics counts the topics that somebody is subscribed to, wildcards aside.
	Topics int
	// Replays counts those under way. Recovered and Unrecovered count the subscribes with a
	// cursor, by what they were told, Gaps the notices of that code.
	Replays                      int
	Recovered, Unrecovered, Gaps uint64
	// Ready tells whether a publish would be taken.
	Ready bool
	// Nodes counts those that share the log, as far as they are known: at least this one.
	Nodes int
	// Log is nil if the engine does not know.
	Log *LogStats
}

// Stats reads the counters, one after the other. It stops nobody, waits for no other machine and
// costs the same however many clients there are.
func (p *PubSub) Stats() Stats {
	stats := Stats{
		MaxClients:     p.options.Clients,
		MaxOutbox:      p.options.OutboxSize,
		Dropped:        make(map[models.Overflow]uint64),
		PublishedBytes: p.stats.publishedBytes.Load(),
		Pending:        p.dispatcher.budget.pending(),
		Topics:         p.dispatcher.interests.topics.len(),
		Recovered:      p.stats.recovered.Load(),
		Unrecovered:    p.stats.unrecovered.Load(),
		Ready:          p.Ready(context.Background()) == nil,
		Nodes:          p.node.count(),
	}
	stats.Clients, stats.Closes = p.census.counts()
	p.stats.publish.addTo(&stats.PublishDuration)
	stats.Published = stats.PublishDuration.Count()
	for _, s := range p.shards {
		s.stats.fanOut.addTo(&stats.FanOutDuration)
		stats.Delivered += s.stats.delivered.Load()
		stats.WrittenBytes += s.stats.written.Load()
		stats.Dropped[models.OverflowLatest] += s.stats.droppedLatest.Load()
		stats.Dropped[models.OverflowDropOldest] += s.stats.droppedOldest.Load()
		stats.Gaps += s.stats.gaps.Load()
		stats.QueuedBytes += s.stats.queuedBytes.Load()
		stats.Subscriptions += int(s.stats.subscriptions.Load())
		stats.Replays += int(s.stats.replays.Load())
	}
	if log, err := p.engine.LogStats(); err == nil {
		stats.Log = &log
	}
	return stats
}

// pubsubStats is what the PubSub itself counts. Whoever publishes or subscribes writes it.
type pubsubStats struct {
	publish                *histogram
	publishedBytes         atomic.Uint64
	recovered, unrecovered atomic.Uint64
}

// countRecovery counts what a subscribe was told, nil if it did not ask.
func (s *pubsubStats) countRecovery(recovered *bool) {
	switch {
	case recovered == nil:
	case *recovered:
		s.recovered.Add(1)
	default:
		s.unrecovered.Add(1)
	}
}

// shardStats is a shard's part of the Stats. The shard alone writes it.
type shardStats struct {
	fanOut        *histogram
	delivered     atomic.Uint64
	written       atomic.Uint64
	droppedLatest atomic.Uint64
	droppedOldest atomic.Uint64
	gaps          atomic.Uint64
	queuedBytes   atomic.Int64
	subscriptions atomic.Int64
	replays       atomic.Int64
}
