package natsengine

import (
	"time"

	"fanfare/broker"
)

// maxSighting is how old the stream's state may be to be told: two looks may fail.
const maxSighting = 5 * watchInterval

// sighting is the state of the stream, and when it was that.
type sighting struct {
	state state
	at    time.Time
}

// saw keeps a state of the stream.
func (e *Engine) saw(s state) {
	s.subjects = nil // there may be many
	e.seen.Store(&sighting{state: s, at: time.Now()})
}

// LogStats implements broker.Engine, from what the last look at the stream said. JetStream counts what it has
// removed since the stream was made, for whatever cause; and the engine's own notes are messages to it.
func (e *Engine) LogStats() (broker.LogStats, error) {
	seen := e.seen.Load()
	if seen == nil || time.Since(seen.at) > maxSighting {
		return broker.LogStats{}, errAway()
	}
	s := seen.state
	stats := broker.LogStats{
		Messages:  int64(s.messages), //nolint:gosec // there are not that many
		Topics:    s.topics,
		Bytes:     s.bytes,
		Evictions: map[broker.Eviction]uint64{broker.EvictionUnknown: s.removals()},
		MaxBytes:  s.maxBytes,
		MaxAge:    s.maxAge,
	}
	if s.messages > 0 {
		stats.Oldest = s.oldest
	}
	return stats, nil
}
