package broker

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/tidwall/btree"

	"fanfare/models"
)

// maxMembers bounds the members in the frames that answer a subscribe. Who needs more asks
// for them, page by page.
const maxMembers = 1000

// presence knows which clients are subscribed to which topics themselves, and tells the
// shards with watchers who comes and goes. Its methods may be called concurrently; those
// that change something need the client's mu.
type presence struct {
	// mu makes an order: who watches from one moment on is told of all that comes after
	// it. Under it, events are queued.
	mu      sync.Mutex
	members *members
	// watching counts the subscriptions that watch, by shard.
	watching []int
	// closing tells that everybody leaves, of which nobody needs to be told.
	closing bool

	// Set by newPresence, never changed.
	budget *budget
}

// members has memberships by topic, and in a topic by the client's id.
type members = btree.BTreeG[membership]

// membership is one client's in one topic.
type membership struct {
	topic  models.Topic
	client *Client
}

func newPresence(shards int, budget *budget) *presence {
	return &presence{
		budget: budget,
		members: btree.NewBTreeGOptions(func(a, b membership) bool {
			if a.topic != b.topic {
				return a.topic < b.topic
			}
			return bytes.Compare(a.client.id[:], b.client.id[:]) < 0
		}, btree.Options{NoLocks: true}),
		watching: make([]int, shards),
	}
}

// enter makes a client a member of the topics among its new subscriptions.
func (p *presence) enter(c *Client, added []*subscription, shards []*shard) {
	if !c.isMember() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range added {
		if !sub.pattern.HasWildcard() {
			topic := models.Topic(sub.pattern)
			p.members.Set(membership{topic, c})
			p.tellLocked(models.NewJoin(topic, c.member()), shards)
		}
	}
}

// leave ends what enter and watch have begun.
func (p *presence) leave(c *Client, removed []*subscription, shards []*shard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range removed {
		p.unwatchLocked(c, sub)
		if c.isMember() && !sub.pattern.HasWildcard() {
			topic := models.Topic(sub.pattern)
			p.members.Delete(membership{topic, c})
			p.tellLocked(models.NewLeave(topic, c.member()), shards)
		}
	}
}

// rename has a client act for another caller. Where that has another name, the member of the old
// one leaves, and another joins.
func (p *presence) rename(c *Client, by models.Caller, shards []*shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := c.member()
	c.caller.Store(&by)
	if !c.isMember() || before.User == by.User {
		return
	}
	for _, sub := range c.subscriptions {
		if !sub.pattern.HasWildcard() {
			topic := models.Topic(sub.pattern)
			p.tellLocked(models.NewLeave(topic, before), shards)
			p.tellLocked(models.NewJoin(topic, c.member()), shards)
		}
	}
}

// watch makes subscriptions ones that watch, or that do not. For those that do it gives
// the members of the moment: what changes from then on is held back until sendMembers.
func (p *presence) watch(c *Client, subs []*subscription, watches bool) *members {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range subs {
		p.unwatchLocked(c, sub)
		if watches {
			sub.watches = true
			p.watching[c.shard.index]++
		}
	}
	if !watches {
		return nil
	}
	c.shard.queue.push(event{apply: func(s *shard) {
		for _, sub := range subs {
			s.watchers.add(sub)
		}
	}})
	return p.members.Copy()
}

func (p *presence) unwatchLocked(c *Client, sub *subscription) {
	if sub.watches {
		sub.watches = false
		p.watching[c.shard.index]--
		c.shard.queue.push(event{apply: func(s *shard) { s.watchers.remove(sub) }})
	}
}

// tellLocked queues a change for the shards with watchers. It is work for them like a
// message: whoever subscribes waits when there is too much of it.
func (p *presence) tellLocked(change models.PresenceChange, shards []*shard) {
	if p.closing {
		return
	}
	for i, count := range p.watching {
		if count > 0 {
			p.budget.begin(count)
			shards[i].queue.push(event{apply: func(s *shard) {
				s.tellPresence(change)
				s.budget.done(count)
			}})
		}
	}
}

// close tells nobody anything any more.
func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
}

// page gives this node's members of a topic, as they are at this moment.
func (p *presence) page(topic models.Topic, page models.Page) part[models.Member] {
	p.mu.Lock()
	members := p.members.Copy()
	p.mu.Unlock()
	return pageOfMembers(members, topic, page)
}

func pageOfMembers(members *members, topic models.Topic, page models.Page) part[models.Member] {
	of := part[models.Member]{Entries: []models.Member{}}
	// An after that is no client's id is before all of them, or after them, as it compares.
	members.Ascend(membership{topic, &Client{id: idFrom(page.After)}}, func(m membership) bool {
		member := m.client.member()
		switch n := len(of.Entries); {
		case m.topic != topic:
			return false
		case member.ClientID <= page.After:
			return true
		case n == page.Limit:
			of.Next = of.Entries[n-1].ClientID
			return false
		}
		of.Entries = append(of.Entries, member)
		return true
	})
	return of
}

// idFrom gives the UUID of a text, or the one before all others.
func idFrom(text string) uuid.UUID {
	id, _ := uuid.Parse(text)
	return id
}

// Members gives a page of the clients that are subscribed to a topic itself, in the order
// of their ids.
func (p *PubSub) Members(ctx context.Context, _ models.Caller, topic models.Topic, page models.Page) (models.MemberPage, error) {
	q := about(askMembers, page)
	q.Topic = topic
	others, unreachable := gather[models.Member](ctx, p.node, q)
	all := mergeAll(p.dispatcher.presence.page(topic, page), others, page.Limit, memberName, either)
	return models.MemberPage{Clients: all.Entries, Next: all.Next, Unreachable: unreachable}, nil
}

// isMember tells whether the client is one of the members of its topics. A poll is not: it
// comes and goes all the time.
func (c *Client) isMember() bool { return c.connection.Transport != models.TransportPoll }

func (c *Client) member() models.Member {
	return models.Member{ClientID: c.ID(), User: c.Caller().User}
}

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

// sendMembers sends the members of a moment to subscriptions that watch since then, and
// what has changed meanwhile. The frames are made here, and not in the shard: there may be
// many.
func (p *PubSub) sendMembers(c *Client, subs []*subscription, members *members) {
	frames := presenceFrames(subs, members)
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
func presenceFrames(subs []*subscription, members *members) (frames []models.ServerFrame) {
	left := maxMembers
	list := func(topic models.Topic) {
		of := pageOfMembers(members, topic, models.Page{Limit: left})
		left -= len(of.Entries)
		frames = append(frames, models.NewPresence(topic, models.MemberPage{Clients: of.Entries, Next: of.Next}, nil))
	}
	for _, sub := range subs {
		complete := left > 0
		switch {
		case !complete:
		case !sub.pattern.HasWildcard():
			list(models.Topic(sub.pattern))
		default:
			eachTopicWithMembers(members, sub.pattern, func(topic models.Topic) bool {
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

// eachTopicWithMembers visits the topics that match the pattern and have members, until
// visit is false.
func eachTopicWithMembers(members *members, pattern models.Pattern, visit func(models.Topic) bool) {
	prefix := pattern.Prefix()
	for at := (membership{models.Topic(prefix), &Client{}}); ; {
		var next models.Topic
		members.Ascend(at, func(m membership) bool {
			next = m.topic
			return false
		})
		if next == "" || !strings.HasPrefix(string(next), prefix) || pattern.Matches(next) && !visit(next) {
			return
		}
		at = membership{next, &Client{id: uuid.Max}} // no client's id is after it
	}
}
