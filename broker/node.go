package broker

import (
	"context"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// node is this one among the others of its cluster. It is the Peer that they see.
type node struct {
	// Set by newNode, never changed.
	pubsub  *PubSub
	cluster Cluster

	mu sync.Mutex
	// neighbors has the others, by name.
	neighbors map[string]struct{}
}

// join makes the PubSub one of a cluster.
func (p *PubSub) join(cluster Cluster) error {
	p.node = &node{
		pubsub:    p,
		cluster:   cluster,
		neighbors: make(map[string]struct{}),
	}
	return cluster.Join(p.node)
}

// others gives the names of the other nodes, in their order.
func (n *node) others() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.neighbors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Joined implements Peer.
func (n *node) Joined(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.neighbors[name] = struct{}{}
}

// Left implements Peer.
func (n *node) Left(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.neighbors, name)
}

// Hear implements Peer.
func (*node) Hear(string, []byte) {}

// Answer implements Peer. Whoever asks has seen to it that it is allowed.
func (n *node) Answer(_ context.Context, _ string, text []byte) []byte {
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
	default:
		return nil
	}
}
