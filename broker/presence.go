package broker

import (
	"bytes"
	"context"
	"sync"

	"github.com/tidwall/btree"

	"fanfare/models"
)

// presence knows which clients of this node are subscribed to which topics themselves, and tells
// the shards with watchers who comes and goes; in a cluster also the nodes with watchers, and the
// shards what those tell. Its methods may be called concurrently; those that change something
// need the client's mu.
type presence struct {
	// mu makes an order: who watches from one moment on is told of all that comes after
	// it. Under it, events are queued.
	mu      sync.Mutex
	members *members
	// watching counts the subscriptions that watch, by shard.
	watching []int
	// closing tells that everybody leaves, of which no client needs to be told.
	closing bool
	// audience is nil without a cluster.
	audience *audience

	// Set by newPresence, never changed.
	budget *budget

	// Set by PubSub.join, never changed: nil without a cluster.
	node *node
}

// members has memberships by topic, and in a topic by the client's id.
type members = btree.BTreeG[membership]

// membership is one client's in one topic.
type membership struct {
	topic  models.Topic
	client *identity
}

func newPresence(shards int, budget *budget) *presence {
	return &presence{budget: budget, members: newMembers(), watching: make([]int, shards)}
}

func newMembers() *members {
	return btree.NewBTreeGOptions(func(a, b membership) bool {
		if a.topic != b.topic {
			return a.topic < b.topic
		}
		return bytes.Compare(a.client.id[:], b.client.id[:]) < 0
	}, btree.Options{NoLocks: true})
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
			p.members.Set(membership{topic, &c.identity})
			p.announceLocked(models.NewJoin(topic, c.member()), shards)
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
			p.members.Delete(membership{topic, &c.identity})
			p.announceLocked(models.NewLeave(topic, c.member()), shards)
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
			p.announceLocked(models.NewLeave(topic, before), shards)
			p.announceLocked(models.NewJoin(topic, c.member()), shards)
		}
	}
}

// watch makes subscriptions ones that watch, and gives this node's members of the moment: what
// changes from then on is held back until sendMembers.
func (p *presence) watch(c *Client, subs []*subscription) *members {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range subs {
		p.unwatchLocked(c, sub)
		sub.watches = true
		p.watching[c.shard.index]++
		p.node.watch(sub.pattern)
	}
	c.shard.queue.push(event{apply: func(s *shard) {
		for _, sub := range subs {
			s.watchers.add(sub)
		}
	}})
	return p.members.Copy()
}

// unwatch makes subscriptions ones that do not watch.
func (p *presence) unwatch(c *Client, subs []*subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sub := range subs {
		p.unwatchLocked(c, sub)
	}
}

func (p *presence) unwatchLocked(c *Client, sub *subscription) {
	if sub.watches {
		sub.watches = false
		p.watching[c.shard.index]--
		p.node.unwatch(sub.pattern)
		c.shard.queue.push(event{apply: func(s *shard) { s.watchers.remove(sub) }})
	}
}

// announceLocked tells everybody of a change on this node.
func (p *presence) announceLocked(change models.PresenceChange, shards []*shard) {
	p.audience.tell(change)
	p.tellLocked(change, shards)
}

// tell tells this node's watchers of a change on another.
func (p *presence) tell(change models.PresenceChange, shards []*shard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tellLocked(change, shards)
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

// close tells no client anything any more. Other nodes are told: theirs stay.
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
