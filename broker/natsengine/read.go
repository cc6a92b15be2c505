package natsengine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

const (
	// maxStretch and maxStretchSize bound what is asked for at a time: messages, and bytes or one message.
	maxStretch     = 512
	maxStretchSize = 256 << 10
	// maxFilters is how many patterns are asked for one by one. With more, everything is looked at.
	maxFilters = 8
	// replicaTries is how often a replica that is behind is asked, and replicaPause the time between.
	replicaTries = 50
	replicaPause = 20 * time.Millisecond
)

// span is a part of the log: after one sequence and up to another.
type span struct{ after, upTo uint64 }

// Read implements broker.Engine. A stretch has at most 512 messages. Lost means that something was lost, but
// for these cases, in which it is not known any more:
//   - something beyond After was removed for its age or for the size of the log, or is about to be for its age;
//   - a topic has as many messages as it may have, all of them are beyond After, and others were removed, but
//     not beyond After;
//   - more than 256 topics that match have as many messages as they may have;
//   - a message is larger than limits.message_size, though it is still there;
//   - a topic may have more messages than when After was published, and something beyond After was removed.
func (e *Engine) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	stretch, err := e.read(ctx, query)
	return stretch, e.unavailable("reading", err)
}

func (e *Engine) read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	begin, err := e.state(ctx, "")
	if err != nil {
		return broker.Stretch{}, err
	}
	var of span
	if query.UpTo.Epoch == begin.epoch {
		of.upTo = min(query.UpTo.Sequence, begin.last)
	}
	if query.After.Epoch == begin.epoch && query.After.Sequence <= begin.last {
		of.after = query.After.Sequence
	}
	var found found
	found.reached = of.upTo
	if of.after < of.upTo {
		if found, err = e.find(ctx, query.Patterns, of, min(query.Limit, maxStretch)); err != nil {
			return broker.Stretch{}, err
		}
	}
	// What was removed is looked for behind that: it may have been just before it was to be read, and by a
	// replica that is ahead of the leader.
	if err := e.cross(ctx); err != nil {
		return broker.Stretch{}, err
	}
	end, err := e.state(ctx, "")
	if err != nil {
		return broker.Stretch{}, err
	}
	if end.epoch != begin.epoch {
		return broker.Stretch{}, errAnother()
	}
	lost, err := e.isLost(ctx, query, of, end)
	if err != nil {
		return broker.Stretch{}, err
	}
	removals := broker.Removals{Epoch: end.epoch, Count: end.removals(), First: end.first, Newest: end.last}
	if known := knownOf(query, end.epoch); known.Count == removals.Count {
		removals = known // nothing was removed since; what is marked to be would pass for it
	}
	messages, tooLarge := found.messages(e.codec, end.epoch)
	return broker.Stretch{
		Messages: messages,
		Lost:     lost || tooLarge,
		Removals: removals,
		Reached:  end.id(found.reached),
		Newest:   begin.id(begin.last),
	}, nil
}

// found is what matches in a span, in the order of the log, up to a sequence.
type found struct {
	stored  []stored
	reached uint64
}

// messages gives those that are some, and tells whether one is lost.
func (f found) messages(codec codec, epoch string) (messages []*models.Message, lost bool) {
	for _, s := range f.stored {
		m, tooLarge := codec.decode(s, epoch)
		if lost = lost || tooLarge; m != nil {
			messages = append(messages, m)
		}
	}
	return messages, lost
}

// find gives the first messages of a span that match one of the patterns, at most limit.
func (e *Engine) find(ctx context.Context, patterns []models.Pattern, of span, limit int) (found, error) {
	if len(patterns) > maxFilters {
		all, err := e.findOne(ctx, e.codec.prefix+models.AnyTail, of, maxStretch)
		all.stored = slices.DeleteFunc(all.stored, func(s stored) bool { return !matches(patterns, s.subject[len(e.codec.prefix):]) })
		return all.cut(limit), err
	}
	merged := found{reached: of.upTo}
	for _, p := range patterns {
		one, err := e.findOne(ctx, e.codec.prefix+string(p), of, limit)
		if err != nil {
			return found{}, err
		}
		merged.stored = append(merged.stored, one.stored...)
		merged.reached = min(merged.reached, one.reached)
	}
	slices.SortFunc(merged.stored, func(a, b stored) int { return cmp.Compare(a.sequence, b.sequence) })
	merged.stored = slices.CompactFunc(merged.stored, func(a, b stored) bool { return a.sequence == b.sequence })
	return merged.cut(limit), nil
}

// cut ends what was found where it reaches to, and where it has enough.
func (f found) cut(limit int) found {
	beyond := slices.IndexFunc(f.stored, func(s stored) bool { return s.sequence > f.reached })
	if beyond >= 0 {
		f.stored = f.stored[:beyond]
	}
	size := 0
	for i, s := range f.stored {
		if size += len(s.payload); i == limit || i > 0 && size > maxStretchSize {
			return found{f.stored[:i], s.sequence - 1}
		}
	}
	return f
}

func matches(patterns []models.Pattern, topic string) bool {
	return slices.ContainsFunc(patterns, func(p models.Pattern) bool { return p.Matches(models.Topic(topic)) })
}

// findOne gives the first messages of a span that match a filter, at most limit. Any replica is asked for
// them, and believed as far as the leader says that there is something.
func (e *Engine) findOne(ctx context.Context, filter string, of span, limit int) (found, error) {
	for range replicaTries {
		last, err := e.lastOf(ctx, filter)
		if err != nil {
			return found{}, err
		}
		if last <= of.after {
			return found{reached: of.upTo}, nil
		}
		b, err := e.direct(ctx, filter, of.after+1, limit, maxStretchSize)
		if err != nil {
			return found{}, err
		}
		switch reached := b.last(); {
		case reached >= min(last, of.upTo): // a replica has everything before what it has
			return found{b.messages, of.upTo}, nil
		case b.pending > 0:
			return found{b.messages, reached}, nil
		}
		// It is behind, or the last one has just been removed.
		select {
		case <-time.After(replicaPause):
		case <-ctx.Done():
			return found{}, ctx.Err()
		}
	}
	return found{}, errors.New("a replica of the stream is far behind its leader")
}

// count gives how many messages of a filter a replica has after a sequence.
func (e *Engine) count(ctx context.Context, filter string, after uint64) (uint64, error) {
	b, err := e.direct(ctx, filter, after+1, 1, 1)
	return uint64(len(b.messages)) + b.pending, err
}
