package broker

import "context"

// Cluster is what an Engine is, too, if other nodes share its log: the way to them. Its
// methods may be called concurrently.
type Cluster interface {
	// Node is the name of this node: no other that lives has it, nor had an earlier life of
	// this one.
	Node() string

	// Join makes this node one that others see: from then on their questions and notices come
	// to peer, until the engine's Close. It is called once, after Start.
	Join(peer Peer) error

	// Nodes gives the names of the others that live, in their order. One that has died is among
	// them for some seconds more.
	Nodes() []string

	// Ask asks nodes the same question, all at once, and gives the answers that came until ctx
	// ended, by node. A question and an answer have no bound of their own, but for a question
	// of 64 KiB.
	Ask(ctx context.Context, nodes []string, question []byte) map[string][]byte

	// Tell sends a notice to a node, in the order of the calls, and does not wait for it. It
	// may get lost, and those after it may come; if one may have got lost, the node may hear
	// nothing of it. A notice has at most 64 KiB.
	Tell(node string, notice []byte)
}

// Peer is a node as others see it. Its methods may be called concurrently, but for those calls
// of Hear and Left that are about the same node.
type Peer interface {
	// Answer answers a question of another node. What is not known is answered empty.
	Answer(ctx context.Context, node string, question []byte) []byte

	// Hear takes a notice of another node. It does not wait for anything.
	Hear(node string, notice []byte)

	// Left tells that a node has left or died. It does not come back under that name, unless it
	// was only out of reach: then Hear and Answer are called for it again.
	Left(node string)
}
