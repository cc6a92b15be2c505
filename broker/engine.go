package broker

import (
	"context"

	"fanfare/models"
)

// Engine keeps the log and moves messages between nodes. It may be remote: every
// method can fail and takes a context, and delivery may come late, but never out of
// order. All methods may be called concurrently.
type Engine interface {
	// Start prepares the log, and delivery to the sink. It is called once, before every other
	// method.
	Start(ctx context.Context, sink Sink) error

	// Follow begins delivery, of all that comes after the place that it returns, until Rest
	// ends it: nobody listens from then on. More may be delivered, before and after, but nothing
	// of an earlier life of the log once Follow has returned. Follow and Rest are called by turns,
	// and not at once.
	Follow(ctx context.Context) (models.ID, error)
	Rest()

	// Publish gives the draft its place in the log and returns only when it has it, or
	// failed to get it: CodeOverloaded when there was no room in time,
	// CodeEngineUnavailable when the log is away. A message whose Publish failed may still be
	// in the log, if it was the answer that did not come. Two messages of which one was
	// answered before the other was offered have IDs in that order.
	//
	// A draft whose Key was published before, from the same publisher to the same topic
	// and within the window of idempotency, is not published again: the receipt is that
	// of then, with Duplicate; or CodeConflict if data or encoding are others.
	Publish(ctx context.Context, draft models.Draft) (models.Receipt, error)

	// Position is the place that the log has come to: no message is after it, and what is
	// published from then on will be. Delivery may not have come so far yet.
	Position(ctx context.Context) (models.ID, error)

	// Read gives retained messages, the oldest first. It may end before it has all, for
	// want of time or memory, but never without getting on: Stretch.Reached tells how far
	// it came.
	Read(ctx context.Context, query Query) (Stretch, error)

	// Tail gives the place after which there are count retained messages that match one
	// of the patterns, up to and including an ID, or the place before all of them if
	// there are fewer. As an after of Read it is of this epoch.
	Tail(ctx context.Context, patterns []models.Pattern, upTo models.ID, count int) (models.ID, error)

	// Purge removes all messages of a topic that are in the log when it is called.
	Purge(ctx context.Context, topic models.Topic) error

	// Topics gives the topics that have a retained message, in the order of their
	// names, at most filter.Limit. It leaves Subscribers at 0.
	Topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error)

	// Ready is nil when a Publish would be taken, else it says why not.
	Ready(ctx context.Context) error

	// LogStats is the log as it was some seconds ago at most. It does not wait for other
	// machines: CodeEngineUnavailable when they have not been heard of for that long.
	LogStats() (LogStats, error)

	// Close ends delivery and frees what the engine holds. No Deliver runs after it.
	Close() error
}

// Query asks for the messages that match one of the patterns, after one place, up to and
// including another, and for no more than Limit of them.
type Query struct {
	Patterns []models.Pattern
	// After reads from the oldest if it is of another epoch, or beyond Position. UpTo is before
	// all messages if it is of another epoch, and Position if it is beyond that.
	After, UpTo models.ID
	Limit       int
	// Removals is up to when the caller knows what is missing between After and UpTo: that of
	// an earlier Stretch.
	Removals Removals
}

// Removals is a moment in the life of a log: when it had lost so many messages. The zero value,
// and that of another log, are before the first.
type Removals struct {
	Epoch string
	Count uint64
	// First and Newest are the places of the first and the last that it had then, for engines
	// that need them to tell what was lost since.
	First, Newest uint64
}

// Stretch is a part of the log.
type Stretch struct {
	Messages []*models.Message
	// Lost tells that between After and UpTo a message that matched was removed since
	// Query.Removals, or may have been. So who reads page by page up to the same place, each
	// with the Removals of the one before, hears of everything that he comes too late for. Of
	// what is removed just while a page is read, he may hear twice.
	Lost bool
	// Removals is the moment when the reading began, and the log was at Newest.
	Removals Removals
	// Reached is the place up to which this is all: beyond it the next Read goes on. It
	// is UpTo, or Newest if that is less, when there is nothing more.
	Reached models.ID
	// Newest was the log's Position then.
	Newest models.ID
}

// Follows tells whether the stretch goes on where a place is, in the same log, with nothing
// lost in between.
func (s Stretch) Follows(after models.ID) bool {
	return after.Epoch == s.Newest.Epoch && after.Sequence <= s.Newest.Sequence && !s.Lost
}

// Batch is what an engine delivers at a time, in the order of the log.
type Batch struct {
	Messages []*models.Message
	// Gap tells that messages between the last delivered one and this batch are lost
	// to this node for good.
	Gap bool
	// Reached is the place up to which this is all, if that is beyond the last message.
	Reached models.ID
}

// Sink takes what an engine delivers.
type Sink interface {
	// Admit waits until the batch may be delivered, and fails with CodeOverloaded after
	// the time that a publisher may wait. Of the messages it looks at the data alone.
	// An engine calls it for each batch outside of its locks, delivers what it has
	// admitted, and does not wait for another Admit in between.
	Admit(ctx context.Context, batch Batch) error

	// Deliver takes an admitted batch. It never waits. Calls must not overlap and come
	// in the order of the log; a message that was delivered before is ignored. The
	// batch's messages are kept, its slice is not. It returns how many subscriptions
	// matched.
	Deliver(batch Batch) (subscriptions int)

	// Subscriptions counts those that a message to the topic would match.
	Subscriptions(topic models.Topic) int

	// Dismiss gives back the room of an admitted batch that is not going to be
	// delivered.
	Dismiss(batch Batch)
}
