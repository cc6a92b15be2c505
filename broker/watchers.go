package broker

import (
	"context"

	"fanfare/models"
)

// maxMembers bounds the members in the frames that answer a subscribe. Who needs more asks
// for them, page by page.
const maxMembers = 1000

// watchers has the subscriptions of a shard that want to know who joins and leaves. The
// shard owns it.
type watchers struct {
	patterns *patternMap[map[*subscription]*watcher]
}

// watcher is what is held back from one until it has the members.
type watcher struct {
	ready   bool
	changes []models.PresenceChange
}

func newWatchers() *watchers {
	return &watchers{patterns: newPatternMap[map[*subscription]*watcher]()}
}

func (w *watchers) add(sub *subscription) {
	set, found := w.patterns.get(sub.pattern)
	if !found {
		set = make(map[*subscription]*watcher)
		w.patterns.set(sub.pattern, set)
	}
	set[sub] = &watcher{}
}

func (w *watchers) get(sub *subscription) *watcher {
	set, _ := w.patterns.get(sub.pattern)
	return set[sub]
}

func (w *watchers) remove(sub *subscription) {
	set, _ := w.patterns.get(sub.pattern)
	if delete(set, sub); len(set) == 0 {
		w.patterns.delete(sub.pattern)
	}
}

// maxTold is how many frames a shard makes of what changes before it does a round of what
// waits besides.
const maxTold = 1024

// tellPresence tells those who watch the topic, each client once.
func (s *shard) tellPresence(change models.PresenceChange) {
	told := make(map[*Client]struct{})
	wire := int32(-1)
	var f frame
	s.watchers.patterns.match(change.Topic, func(set map[*subscription]*watcher) {
		for sub, w := range set {
			if !w.ready {
				w.changes = append(w.changes, change)
				continue
			}
			c := sub.client
			if _, twice := told[c]; twice {
				continue
			}
			told[c] = struct{}{}
			if c.wire != wire {
				wire, f = c.wire, ownFrame(c.format.Event(change))
			}
			if len(f.bytes()) > 0 {
				s.enqueue(c, f)
			}
		}
	})
	if s.told += len(told); s.told >= maxTold {
		s.told = 0
		s.rounds()
	}
}

// sendMembers makes subscriptions ones that watch. It sends the members, and then what has changed
// since. The frames are made here, and not in the shard: there may be many.
func (p *PubSub) sendMembers(ctx context.Context, c *Client, subs []*subscription) {
	patterns := make([]models.Pattern, 0, len(subs))
	for _, sub := range subs {
		patterns = append(patterns, sub.pattern)
	}
	// What other nodes have to say is waited for first: nothing needs to be held back meanwhile.
	p.node.watch(patterns...)
	defer p.node.unwatch(patterns...)
	p.node.await(ctx, patterns)
	subs, members := p.dispatcher.watch(c, subs)
	abroad, unreachable := p.node.members(patterns)
	frames := presenceFrames(subs, members, abroad, unreachable)
	c.shard.queue.push(event{apply: func(s *shard) {
		for _, f := range frames {
			s.send(c, f)
		}
		for _, sub := range subs {
			if w := s.watchers.get(sub); w != nil && !w.ready {
				w.ready = true
				for _, change := range w.changes {
					s.send(c, change)
				}
				w.changes = nil
			}
		}
	}})
}

// presenceFrames makes a frame for each topic: for a subscription to one, also if it has no
// members, and for one with wildcards those that have some. There are maxMembers members in
// all of them, at most. Of a subscription for which there is no more room, a notice says so.
// abroad has the members on other nodes, by pattern.
func presenceFrames(
	subs []*subscription, own *members, abroad map[models.Pattern]roster, unreachable []string,
) (frames []models.ServerFrame) {
	left := maxMembers
	for _, sub := range subs {
		all := append(roster{own}, abroad[sub.pattern]...)
		list := func(topic models.Topic) {
			of := all.page(topic, models.Page{Limit: left})
			left -= len(of.Entries)
			page := models.MemberPage{Clients: of.Entries, Next: of.Next, Unreachable: unreachable}
			frames = append(frames, models.NewPresence(topic, page, nil))
		}
		complete := left > 0
		switch {
		case !complete:
		case !sub.pattern.HasWildcard():
			list(models.Topic(sub.pattern))
		default:
			all.eachTopic(sub.pattern, func(topic models.Topic) bool {
				if complete = left > 0; complete {
					list(topic)
				}
				return complete
			})
		}
		if !complete {
			frames = append(frames, models.NewIncompleteNotice(sub.pattern))
		}
	}
	return frames
}
