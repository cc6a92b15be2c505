package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"fanfare/models"
)

const (
	// maxStretch and maxStretchSize bound the messages of a stretch, and the bytes of
	// their data; the first message may have more.
	maxStretch     = 512
	maxStretchSize = 256 << 10
	// maxListed is how many topics patterns may match beside those that they name, and
	// maxLookedAt how many are looked at to find them. With more, the log is walked.
	maxListed   = 256
	maxLookedAt = 1024
	// maxWalk is how many messages a walk comes past at a time, and maxMarks how many
	// topics that have lost messages.
	maxWalk  = 16 << 10
	maxMarks = 16 << 10
	// maxTopics is how many topics are gone to in one hold of the lock, and maxFetch how
	// many messages are taken from them.
	maxTopics = 64
	maxFetch  = 512
)

// reading is a Read under way: of the messages after one sequence and up to another.
type reading struct {
	// after is that of the query, or 0.
	after, upTo uint64
	limit       int
	// known is the number of the last removal that the caller knows of.
	known uint64
	// What a Stretch has.
	messages []*models.Message
	lost     bool
	reached  uint64
}

// Read implements Engine. A stretch has at most 512 messages, and 256 KiB of data or one
// message.
//
// Lost means that something was lost, but for three cases, in which it is not known any more:
//   - Topics of which nothing is left share one mark when there are more than 10,000 of
//     them, or than fit into a sixteenth of MaxBytes.
//   - A topic has lost more messages beyond UpTo than it remembers, a quarter as many as it
//     has, and eight at least; and since Query.Removals it has lost some of those that it
//     remembers a few of only.
//   - Patterns match more than 256 topics, more than 16,384 topics, whichever, have lost
//     something beyond After, and more than 4,096 messages were removed since Query.Removals,
//     or that is zero.
func (m *Memory) Read(ctx context.Context, query Query) (Stretch, error) {
	if err := ctx.Err(); err != nil {
		return Stretch{}, err
	}
	newest, removals := m.state()
	r := reading{limit: min(query.Limit, maxStretch)}
	if query.UpTo.Epoch == m.epoch {
		r.upTo = min(query.UpTo.Sequence, newest)
	}
	if query.After.Epoch == m.epoch && query.After.Sequence <= newest {
		r.after = query.After.Sequence
	}
	if query.Removals.Epoch == m.epoch {
		r.known = query.Removals.Count
	}
	r.reached = r.upTo
	if r.after < r.upTo {
		// What is published from here on is beyond UpTo, so a topic that comes into the
		// directory after it was looked at is missed with reason.
		if topics, all := m.list(query.Patterns); all {
			m.readTopics(&r, topics, slices.ContainsFunc(query.Patterns, models.Pattern.HasWildcard))
		} else {
			m.readWalking(&r, matcher(query.Patterns))
		}
		r.cut()
	}
	return Stretch{
		Messages: r.messages,
		Lost:     r.lost,
		Removals: Removals{Epoch: m.epoch, Count: removals},
		Reached:  m.id(r.reached),
		Newest:   m.id(newest),
	}, nil
}

// readTopics reads topics, a few at a time. Of each it takes its messages and what it has
// lost in the same moment, so these fit together. Each gives so many messages at most,
// and where one had more the stretch ends.
func (m *Memory) readTopics(r *reading, topics []models.Topic, wildcards bool) {
	each := min(max(2*r.limit/max(len(topics), 1), maxFetch/maxTopics), r.limit)
	for some := range slices.Chunk(topics, max(min(maxFetch/max(each, 1), maxTopics), 1)) {
		m.mu.Lock()
		for _, name := range some {
			r.lose(m.log.removedUpTo(name, r.upTo))
			if t := m.log.topics[name]; t != nil {
				r.take(t.between(r.after, r.reached), each)
			}
		}
		m.mu.Unlock()
	}
	if wildcards {
		// Topics that they would match were forgotten before the directory was looked at.
		m.mu.Lock()
		r.lose(m.log.forgottenUpTo(r.upTo))
		m.mu.Unlock()
	}
	r.messages = slices.DeleteFunc(r.messages, func(message *models.Message) bool {
		return message.ID.Sequence > r.reached
	})
	slices.SortFunc(r.messages, func(a, b *models.Message) int {
		return cmp.Compare(a.ID.Sequence, b.ID.Sequence)
	})
}

// lose takes the last removal that a topic has up to upTo.
func (r *reading) lose(last removal) {
	r.lost = r.lost || last.sequence > r.after && last.number > r.known
}

// take takes the messages at a topic's places, at most limit. If there are more, the
// stretch reaches no further.
func (r *reading) take(places []place, limit int) {
	if len(places) > limit {
		r.reached = places[limit].sequence - 1
		places = places[:limit]
	}
	r.messages = slices.Grow(r.messages, len(places))
	for _, p := range places {
		r.messages = append(r.messages, p.message)
	}
}

// readWalking reads by a walk through everything after a place. It walks in copies of
// the log's order and marks, which are of one moment and cost the same however large the
// log is, and goes for the messages then. What was removed in between is lost.
func (m *Memory) readWalking(r *reading, matches func(models.Topic) bool) {
	m.mu.Lock()
	order, marks := m.log.order.Copy(), m.log.marks.Copy()
	losers, all := m.log.losers(r.known)
	r.lose(m.log.forgottenUpTo(r.upTo))
	m.mu.Unlock()
	if !all {
		losers, all = losersBeyond(r.after, marks)
	}
	m.readLosses(r, losers, matches)
	r.lost = r.lost || !all
	type match struct {
		sequence uint64
		topic    *topicLog
	}
	var found []match
	walked := 0
	order.Ascend(r.after+1, func(sequence uint64, t *topicLog) bool {
		if sequence > r.upTo {
			return false
		}
		if walked++; walked > maxWalk || len(found) == r.limit {
			r.reached = sequence - 1
			return false
		}
		if matches(t.name) {
			found = append(found, match{sequence, t})
		}
		return true
	})
	for some := range slices.Chunk(found, maxTopics) {
		m.mu.Lock()
		for _, f := range some {
			if message := f.topic.find(f.sequence); message != nil {
				r.messages = append(r.messages, message)
			} else {
				r.lost = true
			}
		}
		m.mu.Unlock()
	}
}

// readLosses finds out whether one of the topics matches and has lost something.
func (m *Memory) readLosses(r *reading, losers []models.Topic, matches func(models.Topic) bool) {
	for _, name := range losers {
		if r.lost {
			return
		}
		if matches(name) {
			m.mu.Lock()
			r.lose(m.log.removedUpTo(name, r.upTo))
			m.mu.Unlock()
		}
	}
}

// losersBeyond gives the topics that have lost something beyond a place, the newest loss
// first: all of them, or 16,384.
func losersBeyond(after uint64, marks *btree.Map[uint64, *topicLog]) (topics []models.Topic, all bool) {
	all = true
	marks.Reverse(func(mark uint64, t *topicLog) bool {
		if mark <= after {
			return false
		}
		if len(topics) == maxMarks {
			all = false
			return false
		}
		topics = append(topics, t.name)
		return true
	})
	return topics, all
}

// cut ends the stretch where it has enough.
func (r *reading) cut() {
	size := 0
	for i, message := range r.messages {
		if size += message.Size(); i == r.limit || i > 0 && size > maxStretchSize {
			clear(r.messages[i:])
			r.messages, r.reached = r.messages[:i], message.ID.Sequence-1
			return
		}
	}
}

// Tail implements Engine. An upTo of another epoch is before everything in this log.
func (m *Memory) Tail(
	ctx context.Context, patterns []models.Pattern, upTo models.ID, count int,
) (models.ID, error) {
	if upTo.Epoch != m.epoch {
		return m.id(0), nil
	}
	end := min(upTo.Sequence, m.newest())
	if topics, all := m.list(patterns); all {
		return m.id(m.tailOfTopics(topics, end, count)), ctx.Err()
	}
	after, err := m.tailWalking(ctx, matcher(patterns), end, count)
	return m.id(after), err
}

// tailOfTopics finds the place by bisection: what lies between it and the end can be
// counted without being looked at.
func (m *Memory) tailOfTopics(topics []models.Topic, upTo uint64, count int) (after uint64) {
	count = min(count, m.count(topics, 0, upTo))
	if count == 0 {
		return upTo
	}
	after, beyond := uint64(0), upTo
	for beyond-after > 1 {
		if middle := after + (beyond-after)/2; m.count(topics, middle, upTo) >= count {
			after = middle
		} else {
			beyond = middle
		}
	}
	return after
}

// count counts the messages of topics after a sequence and up to another.
func (m *Memory) count(topics []models.Topic, after, upTo uint64) (count int) {
	for some := range slices.Chunk(topics, maxTopics) {
		m.mu.Lock()
		for _, name := range some {
			if t := m.log.topics[name]; t != nil {
				count += len(t.between(after, upTo))
			}
		}
		m.mu.Unlock()
	}
	return count
}

// tailWalking finds the place by a walk back from the end, in stretches.
func (m *Memory) tailWalking(
	ctx context.Context, matches func(models.Topic) bool, upTo uint64, count int,
) (after uint64, err error) {
	after = upTo
	for more := true; more && count > 0; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		m.mu.Lock()
		order := m.log.order.Copy()
		m.mu.Unlock()
		more = false
		walked := 0
		order.Descend(after, func(sequence uint64, t *topicLog) bool {
			if walked++; walked > maxWalk {
				more = true
				return false
			}
			after = sequence - 1
			if matches(t.name) {
				count--
			}
			return count > 0
		})
	}
	return after, nil
}

// list gives the topics that may have messages for the patterns, each once, unless
// they are too many: those that are named, and those that wildcards match.
func (m *Memory) list(patterns []models.Pattern) (topics []models.Topic, all bool) {
	var names *btree.Map[string, *topicLog]
	matched, lookedAt := 0, 0
	for _, p := range patterns {
		if !p.HasWildcard() {
			topics = append(topics, models.Topic(p))
			continue
		}
		if names == nil {
			names = m.log.names.snapshot()
		}
		prefix := p.Prefix()
		names.Ascend(prefix, func(name string, _ *topicLog) bool {
			if !strings.HasPrefix(name, prefix) {
				return false
			}
			if p.Matches(models.Topic(name)) {
				matched++
				topics = append(topics, models.Topic(name))
			}
			lookedAt++
			return matched <= maxListed && lookedAt <= maxLookedAt
		})
		if matched > maxListed || lookedAt > maxLookedAt {
			return nil, false
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics), true
}

// matcher tells which topics match one of the patterns.
func matcher(patterns []models.Pattern) (matches func(models.Topic) bool) {
	if len(patterns) == 1 {
		return patterns[0].Matches
	}
	all := newPatternMap[struct{}]()
	for _, p := range patterns {
		all.set(p, struct{}{})
	}
	return func(t models.Topic) (found bool) {
		all.match(t, func(struct{}) { found = true })
		return found
	}
}
