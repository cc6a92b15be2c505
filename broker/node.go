package broker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// node is this one among the others of its cluster: what they see of it, as a Peer, and what it
// knows of them. What is not of Peer may be called for nil, which is a node without a cluster.
type node struct {
	// Set by join, never changed. life ends with close.
	pubsub  *PubSub
	cluster Cluster
	life    context.Context
	end     context.CancelFunc
	// running has the goroutines of the neighbors, and the one that tells them of changes.
	running sync.WaitGroup

	mu sync.Mutex
	// neighbors has the others, by name, until their goroutines have ended.
	neighbors map[string]*neighbor
	// watched counts who watches a pattern.
	watched map[models.Pattern]int
	// sessions counts the sessions with all neighbors.
	sessions uint64
}

// join makes the PubSub one of a cluster.
func (p *PubSub) join(cluster Cluster) error {
	n := &node{
		pubsub:    p,
		cluster:   cluster,
		neighbors: make(map[string]*neighbor),
		watched:   make(map[models.Pattern]int),
	}
	n.life, n.end = context.WithCancel(context.Background())
	p.node, p.dispatcher.presence.node = n, n
	p.dispatcher.presence.audience = newAudience()
	n.running.Go(n.tellOthers)
	if err := cluster.Join(n); err != nil {
		return errors.Join(err, n.close())
	}
	return nil
}

// close ends what the node does by itself. It goes on answering.
func (n *node) close() error {
	if n != nil {
		n.mu.Lock()
		n.end()
		n.mu.Unlock()
		n.running.Wait()
	}
	return nil
}

// others gives the names of the other nodes, in their order.
func (n *node) others() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, neighbor := range n.neighbors {
		if neighbor.here {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// count is how many nodes there are, this one included.
func (n *node) count() int {
	if n == nil {
		return 1
	}
	return 1 + len(n.others())
}

// Joined implements Peer.
func (n *node) Joined(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life.Err() != nil {
		return
	}
	neighbor, known := n.neighbors[name]
	if !known {
		neighbor = newNeighbor(n, name)
		n.neighbors[name] = neighbor
		for p := range n.watched {
			neighbor.watchLocked(p, true)
		}
		n.running.Go(func() { neighbor.run(n.life) })
	}
	neighbor.here, neighbor.silent = true, false
	neighbor.signal()
}

// Left implements Peer.
func (n *node) Left(name string) {
	n.pubsub.dispatcher.presence.leaveNode(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if neighbor, known := n.neighbors[name]; known && neighbor.here {
		neighbor.here, neighbor.left = false, true
		neighbor.signal()
	}
}

// retire forgets a neighbor that has left, unless there is something to do about it.
func (n *node) retire(neighbor *neighbor) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if neighbor.here || neighbor.left {
		return false
	}
	delete(n.neighbors, neighbor.name)
	return true
}

// Hear implements Peer.
func (n *node) Hear(name string, notice []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if neighbor, known := n.neighbors[name]; known && neighbor.here {
		neighbor.hearLocked(notice)
	}
}

// Answer implements Peer. Whoever asks has seen to it that it is allowed.
func (n *node) Answer(_ context.Context, name string, text []byte) []byte {
	var q question
	if json.Unmarshal(text, &q) != nil {
		return nil
	}
	p := n.pubsub
	switch q.Ask {
	case askClients:
		return encode(p.ownClients(models.ClientFilter{Page: q.page(), Topic: q.Topic, User: string(q.User)}))
	case askTopics:
		return encode(p.subscribedTopics(models.TopicFilter{Page: q.page(), Pattern: q.Pattern}))
	case askMembers:
		return encode(p.dispatcher.presence.page(q.Topic, q.page()))
	case askClient, askDisconnect:
		found := part[models.ClientInfo]{Entries: []models.ClientInfo{}}
		if c, known := p.clients.get(q.ID); known {
			found.Entries = append(found.Entries, p.describe(c))
			if q.Ask == askDisconnect {
				p.disconnect(c, q.Reason)
			}
		}
		return encode(found)
	case askDisconnectUser:
		return encode(tally{Disconnected: p.disconnectUser(string(q.User), q.Reason)})
	case askWatch:
		return encode(p.dispatcher.presence.show(name, q.Watch))
	default:
		return nil
	}
}

// tellOthers tells the other nodes of the changes of presence that they want to hear of.
func (n *node) tellOthers() {
	presence := n.pubsub.dispatcher.presence
	for {
		select {
		case <-presence.audience.wake:
		case <-n.life.Done():
			return
		}
		for name, news := range presence.takeNews() {
			for _, notice := range notices(news) {
				n.cluster.Tell(name, notice)
			}
		}
	}
}

// watch has the other nodes tell of their members in the topics of these patterns, until as many
// calls of unwatch.
func (n *node) watch(patterns ...models.Pattern) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range patterns {
		if n.watched[p]++; n.watched[p] == 1 {
			for _, neighbor := range n.neighbors {
				neighbor.watchLocked(p, false)
			}
		}
	}
}

func (n *node) unwatch(patterns ...models.Pattern) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range patterns {
		if n.watched[p]--; n.watched[p] == 0 {
			delete(n.watched, p)
			for _, neighbor := range n.neighbors {
				neighbor.unwatchLocked(p)
			}
		}
	}
}

// await waits until the other nodes have told of their members in the topics of patterns that are
// watched, or are known not to answer; not for longer than a question may take.
func (n *node) await(ctx context.Context, patterns []models.Pattern) {
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	for {
		n.mu.Lock()
		var settled <-chan struct{}
		for _, neighbor := range n.neighbors {
			if !neighbor.settledLocked(patterns) {
				settled = neighbor.settled
			}
		}
		n.mu.Unlock()
		if settled == nil {
			return
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return
		case <-n.life.Done():
			return
		}
	}
}

// members gives the members on other nodes in the topics of patterns that are watched, as far as
// they are known, by pattern; and the names of the nodes that may have others. What changes from
// then on is told.
func (n *node) members(patterns []models.Pattern) (by map[models.Pattern]roster, unreachable []string) {
	if n == nil {
		return nil, nil
	}
	by = make(map[models.Pattern]roster)
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, neighbor := range n.neighbors {
		if !neighbor.here {
			continue
		}
		complete := true
		for _, p := range patterns {
			v, _ := neighbor.views.get(p)
			v.owed = true
			by[p] = append(by[p], v.members.Copy())
			complete = complete && v.placed
		}
		if !complete {
			unreachable = append(unreachable, name)
		}
	}
	slices.Sort(unreachable)
	return by, unreachable
}
