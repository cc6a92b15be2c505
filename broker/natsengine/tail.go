package natsengine

import (
	"context"
	"slices"
	"sort"

	"fanfare/models"
)

// Tail implements broker.Engine.
func (e *Engine) Tail(ctx context.Context, patterns []models.Pattern, upTo models.ID, count int) (models.ID, error) {
	now, err := e.state(ctx, "")
	if err != nil {
		return models.ID{}, e.unavailable("reading", err)
	}
	if upTo.Epoch != now.epoch {
		return now.id(0), nil
	}
	after, err := e.tail(ctx, patterns, min(upTo.Sequence, now.last), count)
	return now.id(after), e.unavailable("reading", err)
}

// tail gives the place after which there are count messages that match, up to a sequence.
func (e *Engine) tail(ctx context.Context, patterns []models.Pattern, upTo uint64, count int) (uint64, error) {
	// After the latest of the places for each pattern there are enough, and not many more.
	after := uint64(0)
	if len(patterns) <= maxFilters {
		for _, p := range patterns {
			one, err := e.tailOfOne(ctx, p, upTo, count)
			if err != nil {
				return 0, err
			}
			after = max(after, one)
		}
	}
	for {
		last, err := e.lastIn(ctx, patterns, span{after, upTo}, count)
		switch {
		case err != nil:
			return 0, err
		case len(last) >= count:
			return last[len(last)-count] - 1, nil
		case after == 0:
			return 0, nil
		}
		// What was published meanwhile has been counted, too.
		after -= min(after, max(upTo-after, 1))
	}
}

// lastIn gives the sequences of the last messages of a span that match one of the patterns, at most count.
func (e *Engine) lastIn(ctx context.Context, patterns []models.Pattern, of span, count int) (sequences []uint64, err error) {
	for of.after < of.upTo {
		some, err := e.find(ctx, patterns, of, maxStretch)
		if err != nil {
			return nil, err
		}
		for _, s := range some.stored {
			sequences = append(sequences, s.sequence)
		}
		sequences = slices.Delete(sequences, 0, max(0, len(sequences)-count))
		of.after = some.reached
	}
	return sequences, nil
}

// tailOfOne finds the place by bisection: what lies between it and the end can be counted without being looked
// at. Of what is published meanwhile, and of replicas that are behind, it may count some too many or too few.
func (e *Engine) tailOfOne(ctx context.Context, p models.Pattern, upTo uint64, count int) (after uint64, err error) {
	filter := e.codec.prefix + string(p)
	last, err := e.lastOf(ctx, filter)
	if err != nil || last == 0 {
		return 0, err
	}
	beyond, err := e.count(ctx, filter, upTo)
	if err != nil {
		return 0, err
	}
	var failed error
	// The first place after which there are too few is one beyond the one that is wanted.
	tooFar := sort.Search(int(upTo), func(after int) bool { //nolint:gosec // no log is that long
		if failed != nil {
			return true
		}
		n, err := e.count(ctx, filter, uint64(after)) //nolint:gosec // not negative
		failed = err
		return n < beyond+uint64(count) //nolint:gosec // not negative
	})
	return uint64(max(tooFar-1, 0)), failed
}
