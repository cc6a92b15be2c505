package broker

import "context"

// Cluster is what an Engine is, too, if other nodes share its log: the way to them. Its
// methods may be called concurrently.
type Cluster interface {
	// Node is the name of this node: no other that lives has it, nor had an earlier life of
	// this one.
	Node() string

	// Join makes this node one that others see: from then on their questions and notices come
	// to peer, until the engine's Close. Before it returns, Joined is called for the others that
	// live. It is called once, after Start.
	Join(peer Peer) error

	// Ask asks nodes the same question, all at once, and gives the answers that came until ctx
	// ended, by node. A question has at most 64 KiB, an answer any size.
	Ask(ctx context.Context, nodes []string, question []byte) map[string][]byte

	// Tell sends a notice to a node, in the order of the calls, and does not wait for it. It
	// may get lost, and those after it may come; if one may have got lost, the node may hear
	// nothing of it. A notice has at most 64 KiB.
	Tell(node string, notice []byte)
}

// Peer is a node as others see it. Its methods may be called concurrently, but for those calls
// of Joined, Left and Hear that are about the same node. Answer alone may take a while.
type Peer interface {
	// Joined tells that another node lives. Until Left it is one of those that are asked.
	Joined(node string)

	// Left tells that a node has left, or died, or is out of reach for so long that it counts as
	// dead, which may be some seconds. In that last case it may come back under its name, and
	// Joined tells of it.
	Left(node string)

	// Answer answers a question of another node. What is not known is answered empty. Before
	// Joined, and after Left, it does no harm.
	Answer(ctx context.Context, node string, question []byte) []byte

	// Hear takes a notice of another node. Before Joined, and after Left, it does nothing.
	Hear(node string, notice []byte)
}
