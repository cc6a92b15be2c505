package broker

import "time"

// LogStats is what a log holds, and what it has lost. An engine may count its own notes in it, too.
type LogStats struct {
	// Messages and Topics count what is retained, Bytes is what of MaxBytes it takes.
	Messages, Topics, Bytes int64
	// Oldest is when the oldest of them was published, zero without any.
	Oldest time.Time
	// Evictions counts the messages that were removed, by cause: all causes that the engine tells
	// apart have an entry. The counts may be of longer than this process.
	Evictions map[Eviction]uint64
	// MaxBytes and MaxAge are the bounds of the log.
	MaxBytes int64
	MaxAge   time.Duration
}

// Eviction is why messages were removed from the log.
type Eviction string

// The causes.
const (
	// EvictionAge is for messages that were older than History.MaxAge.
	EvictionAge Eviction = "age"
	// EvictionTopic is for those of a topic with more than History.MaxMessagesPerTopic.
	EvictionTopic Eviction = "messages_per_topic"
	// EvictionBytes is for the oldest of a log that was larger than History.MaxBytes.
	EvictionBytes Eviction = "bytes"
	// EvictionPurge is for those of a topic that was purged.
	EvictionPurge Eviction = "purge"
	// EvictionUnknown is for all, where the engine does not know why.
	EvictionUnknown Eviction = "unknown"
)
