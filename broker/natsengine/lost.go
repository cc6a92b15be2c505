package natsengine

import (
	"context"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// maxFull is how many topics are looked at that have as many messages as they may have.
const maxFull = 256

// ageSlack is how much sooner than another a server may find a message to be too old.
const ageSlack = 5 * time.Second

// knownOf gives the moment up to which the caller knows of removals from the log of an epoch.
func knownOf(query broker.Query, epoch string) broker.Removals {
	if query.Removals.Epoch == epoch {
		return query.Removals
	}
	return broker.Removals{Epoch: epoch}
}

// isLost tells whether in a span a message that matches was removed since what the query knows of, or may
// have been. The state is younger than all that was read.
func (e *Engine) isLost(ctx context.Context, query broker.Query, of span, now state) (bool, error) {
	known := knownOf(query, now.epoch)
	if of.after >= of.upTo {
		return false, nil
	}
	if old, err := e.isOld(ctx, of.after); err != nil || old {
		return old, err
	}
	if now.removals() == known.Count {
		return false, nil
	}
	if of.after+1 < now.first && now.first > known.First {
		return true, nil
	}
	// Purges come first: a replica that is behind by one has too many messages, and nothing is missing there.
	for _, p := range fewer(query.Patterns) {
		if lost, err := e.wasPurged(ctx, p, query.Patterns, of, known); err != nil || lost {
			return lost, err
		}
	}
	missing, err := e.isMissing(ctx, of.after)
	if err != nil || !missing {
		return false, err
	}
	if max(of.after, known.Newest) < now.raised {
		return true, nil
	}
	for _, p := range fewer(query.Patterns) {
		if lost, err := e.wasFull(ctx, p, query.Patterns, of, known); err != nil || lost {
			return lost, err
		}
	}
	return false, nil
}

// fewer gives patterns that match at least what others do, and are not too many.
func fewer(patterns []models.Pattern) []models.Pattern {
	if len(patterns) > maxFilters {
		return []models.Pattern{models.AnyTail}
	}
	return patterns
}

// isMissing tells whether there is a place after one that nothing is at any more, or may be.
func (e *Engine) isMissing(ctx context.Context, after uint64) (bool, error) {
	// A replica that is behind has too few, and the leader is asked later: both err to one side.
	messages, err := e.count(ctx, models.AnyTail, after)
	if err != nil {
		return false, err
	}
	if err := e.cross(ctx); err != nil {
		return false, err
	}
	now, err := e.state(ctx, "")
	return messages < now.last-after, err
}

// isOld tells whether what comes after a place is about to be removed for its age, so that a replica may have
// done it already.
func (e *Engine) isOld(ctx context.Context, after uint64) (bool, error) {
	if e.server != nil || e.options.Replicas == 1 {
		return false, nil
	}
	m, found, err := e.leaderMessage(ctx, map[string]any{"seq": after + 1, "next_by_subj": models.AnyTail})
	maxAge := e.options.History.MaxAge
	return found && time.Since(m.time) > maxAge-min(ageSlack, maxAge/16), err
}

// wasPurged tells whether a topic that matches was purged, of a message beyond the span's beginning. Of those
// that match p it is one that matches one of the patterns.
func (e *Engine) wasPurged(ctx context.Context, p models.Pattern, patterns []models.Pattern, of span, known broker.Removals) (bool, error) {
	prefix := e.options.Prefix + "-log.purge."
	filter := prefix + string(p)
	for after := max(of.after, known.Newest); ; {
		// A purge marks what it removes before it does. So whoever knows the mark knows of the purge.
		marks, err := e.findOne(ctx, filter, span{after, ^uint64(0)}, maxStretch)
		if err != nil {
			return false, err
		}
		for _, s := range marks.stored {
			var mark purgeMark
			if matches(patterns, s.subject[len(prefix):]) && (!mark.read(s.payload) || mark.Last > of.after) {
				return true, nil
			}
			after = s.sequence
		}
		if marks.reached == ^uint64(0) {
			return false, nil
		}
	}
}

// wasFull tells whether a topic that matches has lost a message beyond the span's beginning because it had too
// many. Of those that match p it is one that matches one of the patterns.
func (e *Engine) wasFull(ctx context.Context, p models.Pattern, patterns []models.Pattern, of span, known broker.Removals) (bool, error) {
	now, err := e.changed(ctx, p, known)
	if err != nil {
		return false, err
	}
	looked := 0
	for subject, messages := range now.subjects {
		if messages <= bound(now.maxPerTopic) || !matches(patterns, subject[len(e.codec.prefix):]) {
			continue
		}
		if looked++; looked > maxFull {
			return true, nil
		}
		if lost, err := e.wasSubjectFull(ctx, subject, of, known); err != nil || lost {
			return lost, err
		}
	}
	return false, nil
}

// changed gives the state with the subjects that match, and that have got messages since what is known of: only
// a message to a topic removes one of it. There may be others among them.
func (e *Engine) changed(ctx context.Context, p models.Pattern, known broker.Removals) (state, error) {
	filter := e.codec.prefix + string(p)
	if known.Newest == 0 {
		return e.state(ctx, filter)
	}
	now, err := e.state(ctx, "")
	if err != nil {
		return state{}, err
	}
	recent, err := e.findOne(ctx, filter, span{known.Newest, now.last}, maxStretch)
	if err != nil {
		return state{}, err
	}
	now.subjects = make(map[string]uint64)
	for _, s := range recent.stored {
		now.subjects[s.subject] = 0
	}
	if recent.reached < now.last || len(now.subjects) > maxFull {
		return e.state(ctx, filter)
	}
	for subject := range now.subjects {
		of, err := e.state(ctx, subject)
		if err != nil {
			return state{}, err
		}
		now.subjects[subject] = of.subjects[subject]
	}
	return now, nil
}

// wasSubjectFull is wasFull for a subject that has as many messages as it may have.
func (e *Engine) wasSubjectFull(ctx context.Context, subject string, of span, known broker.Removals) (bool, error) {
	first, found, err := e.leaderMessage(ctx, map[string]any{"seq": 1, "next_by_subj": subject})
	if err != nil || !found || first.sequence <= of.after+1 {
		return false, err
	}
	last, err := e.lastOf(ctx, subject)
	return last > known.Newest, err
}
