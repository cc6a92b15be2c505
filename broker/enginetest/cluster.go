package enginetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// Cluster is nodes with one log in this process. Told to, it cuts nodes off, takes them for dead
// and has them back, loses notices, and has them and answers come late. It keeps the contract of
// broker.Cluster all the while.
type Cluster struct {
	log *broker.Memory
	// asking has the questions that are under way.
	asking sync.WaitGroup

	mu    sync.Mutex
	nodes map[string]*Node
}

// NewCluster makes a log that retains as much as history says, and no node yet.
func NewCluster(ctx context.Context, history broker.History) (*Cluster, error) {
	c := &Cluster{log: broker.NewMemory(history), nodes: make(map[string]*Node)}
	return c, c.log.Start(ctx, clusterSink{c})
}

// Close waits for late questions and ends the log. The nodes must be closed before.
func (c *Cluster) Close() error {
	c.asking.Wait()
	return c.log.Close()
}

// Node makes the engine of another node. The name must be new.
func (c *Cluster) Node(name string) *Node {
	n := &Node{
		cluster: c,
		name:    name,
		seen:    make(map[string]bool),
		mail:    newInOrder(),
		log:     newInOrder(),
	}
	return n
}

// clusterSink hands what the log has to the nodes.
type clusterSink struct{ c *Cluster }

func (clusterSink) Admit(context.Context, broker.Batch) error { return nil }

func (clusterSink) Dismiss(broker.Batch) {}

func (clusterSink) Subscriptions(models.Topic) int { return 0 }

func (s clusterSink) Deliver(batch broker.Batch) int {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	batch.Messages = slices.Clone(batch.Messages)
	for _, n := range s.c.nodes {
		n.log.push(func() { n.deliver(batch) })
	}
	return 0
}

// Node is one node's engine. It is a broker.Engine and a broker.Cluster.
type Node struct {
	// Set by Cluster.Node and Start, never changed.
	cluster *Cluster
	name    string
	sink    broker.Sink
	// log has what is to be delivered, mail what the peer is to be told.
	log, mail *inOrder

	// Guarded by cluster.mu. seen has the others that the peer was told of.
	peer broker.Peer
	seen map[string]bool
	cut  bool
	// lose counts the notices to it that get lost next. While held is not nil, it has those
	// that come later.
	lose int
	held []func()
	// slow is how much later questions to it come.
	slow time.Duration
	// questions and notices count what it has asked and told.
	questions, notices int
}

var (
	_ broker.Engine  = (*Node)(nil)
	_ broker.Cluster = (*Node)(nil)
)

// Start implements broker.Engine.
func (n *Node) Start(_ context.Context, sink broker.Sink) error {
	n.sink = sink
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.cluster.nodes[n.name] = n
	return nil
}

// Follow implements broker.Engine. A node is always told of everything.
func (n *Node) Follow(ctx context.Context) (models.ID, error) { return n.Position(ctx) }

// LogStats implements broker.Engine.
func (n *Node) LogStats() (broker.LogStats, error) { return n.cluster.log.LogStats() }

// Rest implements broker.Engine.
func (*Node) Rest() {}

// deliver hands a batch to the node's own PubSub, which ignores what was before its Start.
func (n *Node) deliver(batch broker.Batch) {
	for n.sink.Admit(context.Background(), batch) != nil {
		continue // it is not a publisher: it waits on
	}
	n.sink.Deliver(batch)
}

// Publish implements broker.Engine.
func (n *Node) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	return n.cluster.log.Publish(ctx, draft)
}

// Position implements broker.Engine.
func (n *Node) Position(ctx context.Context) (models.ID, error) { return n.cluster.log.Position(ctx) }

// Read implements broker.Engine.
func (n *Node) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	return n.cluster.log.Read(ctx, query)
}

// Tail implements broker.Engine.
func (n *Node) Tail(ctx context.Context, patterns []models.Pattern, upTo models.ID, count int) (models.ID, error) {
	return n.cluster.log.Tail(ctx, patterns, upTo, count)
}

// Purge implements broker.Engine.
func (n *Node) Purge(ctx context.Context, topic models.Topic) error {
	return n.cluster.log.Purge(ctx, topic)
}

// Topics implements broker.Engine.
func (n *Node) Topics(ctx context.Context, filter models.TopicFilter) ([]models.TopicInfo, error) {
	return n.cluster.log.Topics(ctx, filter)
}

// Ready implements broker.Engine.
func (n *Node) Ready(ctx context.Context) error { return n.cluster.log.Ready(ctx) }

// Close implements broker.Engine: the others are told that the node has left.
func (n *Node) Close() error {
	c := n.cluster
	c.mu.Lock()
	n.bury()
	n.peer = nil
	delete(c.nodes, n.name)
	c.mu.Unlock()
	n.log.close()
	n.mail.close()
	return nil
}

// Node implements broker.Cluster.
func (n *Node) Node() string { return n.name }

// Join implements broker.Cluster.
func (n *Node) Join(peer broker.Peer) error {
	c := n.cluster
	c.mu.Lock()
	n.peer = peer
	n.meet()
	c.mu.Unlock()
	n.Settle()
	return nil
}

// Ask implements broker.Cluster.
func (n *Node) Ask(ctx context.Context, nodes []string, question []byte) map[string][]byte {
	type reply struct {
		name   string
		answer []byte
	}
	replies := make(chan reply, len(nodes))
	asked := 0
	n.cluster.mu.Lock()
	n.questions += len(nodes)
	for _, name := range nodes {
		if other := n.cluster.nodes[name]; n.reaches(other) {
			asked++
			peer, slow := other.peer, other.slow
			n.cluster.asking.Go(func() {
				time.Sleep(slow) // a question that is late comes even if nobody waits any more
				replies <- reply{name, peer.Answer(ctx, n.name, question)}
			})
		}
	}
	n.cluster.mu.Unlock()
	answers := make(map[string][]byte)
	for len(answers) < len(nodes) {
		select {
		case r := <-replies:
			n.cluster.mu.Lock()
			if n.reaches(n.cluster.nodes[r.name]) {
				answers[r.name] = r.answer
			}
			n.cluster.mu.Unlock()
			if asked--; asked == 0 && len(answers) < len(nodes) {
				<-ctx.Done() // the others may still answer
			}
		case <-ctx.Done():
			return answers
		}
	}
	return answers
}

// Tell implements broker.Cluster.
func (n *Node) Tell(node string, notice []byte) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.notices++
	other := n.cluster.nodes[node]
	if !n.reaches(other) {
		return
	}
	if other.lose > 0 {
		other.lose--
		return
	}
	peer := other.peer
	hear := func() { peer.Hear(n.name, notice) }
	if other.held != nil {
		other.held = append(other.held, hear)
		return
	}
	other.mail.push(hear)
}

// reaches tells whether what is sent to the other node arrives. It needs cluster.mu.
func (n *Node) reaches(other *Node) bool {
	return other != nil && other.peer != nil && !n.cut && !other.cut
}

// meet tells the node of the others, and them of it. It needs cluster.mu.
func (n *Node) meet() {
	for _, name := range slices.Sorted(maps.Keys(n.cluster.nodes)) {
		if other := n.cluster.nodes[name]; other != n && n.reaches(other) {
			n.sees(other)
			other.sees(n)
		}
	}
}

func (n *Node) sees(other *Node) {
	if !n.seen[other.name] {
		n.seen[other.name] = true
		peer := n.peer
		n.mail.push(func() { peer.Joined(other.name) })
	}
}

// bury has the node and the others take each other for dead. It needs cluster.mu.
func (n *Node) bury() {
	for _, other := range n.cluster.nodes {
		if other != n {
			n.missed(other)
			other.missed(n)
		}
	}
}

func (n *Node) missed(other *Node) {
	if n.seen[other.name] {
		n.seen[other.name] = false
		peer := n.peer
		n.mail.push(func() { peer.Left(other.name) })
	}
}

func (n *Node) change(apply func()) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	apply()
}

// Cut keeps everything that nodes say to each other from reaching it, or from leaving it. The log
// it reaches all the same.
func (n *Node) Cut() { n.change(func() { n.cut = true }) }

// Bury has the node and the others take each other for dead, as they do a while after a Cut.
func (n *Node) Bury() { n.change(n.bury) }

// Miss has the node alone take another for dead, until Heal.
func (n *Node) Miss(other *Node) { n.change(func() { n.missed(other) }) }

// Heal ends a Cut. Who has taken the other for dead sees that it is back.
func (n *Node) Heal() {
	n.change(func() {
		n.cut = false
		n.meet()
	})
}

// Lose has the next notices to the node get lost.
func (n *Node) Lose(notices int) { n.change(func() { n.lose = notices }) }

// Hold keeps notices to the node until Release.
func (n *Node) Hold() { n.change(func() { n.held = []func(){} }) }

// Release has what was kept come at last.
func (n *Node) Release() {
	n.change(func() {
		for _, hear := range n.held {
			n.mail.push(hear)
		}
		n.held = nil
	})
}

// Slow has questions to the node come so much later.
func (n *Node) Slow(by time.Duration) { n.change(func() { n.slow = by }) }

// Said counts the questions and notices that the node has sent, each for each receiver.
func (n *Node) Said() (questions, notices int) {
	n.change(func() { questions, notices = n.questions, n.notices })
	return questions, notices
}

// Settle waits until the peer has been told of all that the node sees and has heard so far.
func (n *Node) Settle() {
	told := make(chan struct{})
	n.mail.push(func() { close(told) })
	<-told
}

// inOrder does one thing after the other.
type inOrder struct {
	mu      sync.Mutex
	changed *sync.Cond
	todo    []func()
	closed  bool
	ended   chan struct{}
}

func newInOrder() *inOrder {
	l := &inOrder{ended: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	go l.run()
	return l
}

func (l *inOrder) push(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.todo = append(l.todo, do)
	l.changed.Broadcast()
}

// close leaves undone what is not done yet.
func (l *inOrder) close() {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	<-l.ended
}

func (l *inOrder) run() {
	defer close(l.ended)
	for {
		l.mu.Lock()
		for !l.closed && len(l.todo) == 0 {
			l.changed.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		do := l.todo[0]
		l.todo = l.todo[1:]
		l.mu.Unlock()
		do()
	}
}
