package natsengine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"fanfare/broker"
	"fanfare/models"
)

const (
	// beatInterval is how often a node says that it lives, and lease how long that is good for.
	beatInterval = time.Second
	lease        = 4 * beatInterval
	// helloTime is how long one that comes waits for the others to say that they live.
	helloTime = 250 * time.Millisecond
	// noticeSkew is how far the clocks of nodes may be apart for one to believe what another says.
	noticeSkew = time.Minute
	// partSize is how much of an answer is sent at a time, in bytes.
	partSize = 512 << 10
	// maxAnswers is how many questions are answered at a time, and answerTime how long one may take.
	maxAnswers = 32
	answerTime = 5 * time.Second
	// headerPart is which part of an answer it is, of how many: "1/3".
	headerPart = "Fanfare-Part"
)

// Node is an Engine on a cluster, and the way to the other nodes: over subjects with -node behind the prefix,
// outside of the stream. All that goes there is signed. It is a broker.Cluster.
type Node struct {
	*Engine

	peer    broker.Peer
	answers chan struct{} // has room for those under way
	// heardItself is closed by hearItself, when it has heard its first beat.
	heardItself chan struct{}
	hearItself  func()
	ctx         context.Context
	cancel      context.CancelFunc
	working     sync.WaitGroup
	// forged logs now and then who is not believed.
	forged rate.Sometimes

	// mu guards others and closing, and is held while peer hears of one. Once closing is set, working gets no
	// more to wait for.
	mu      sync.Mutex
	closing bool
	// others has the nodes that live, and when they said so.
	others map[string]time.Time
}

var (
	_ broker.Engine  = (*Node)(nil)
	_ broker.Cluster = (*Node)(nil)
)

// NewNode makes a node of an engine that has URLs.
func NewNode(engine *Engine) *Node {
	n := &Node{
		Engine:  engine,
		answers: make(chan struct{}, maxAnswers),
		forged:  rate.Sometimes{Interval: time.Minute},
		others:  make(map[string]time.Time),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.heardItself = make(chan struct{})
	n.hearItself = sync.OnceFunc(func() { close(n.heardItself) })
	return n
}

// beat is what a node says of itself.
type beat struct {
	Node string `json:"node"`
	// Hello asks the others to do the same at once.
	Hello bool `json:"hello,omitempty"`
	// Bye tells that it goes.
	Bye bool `json:"bye,omitempty"`
}

// Node implements broker.Cluster.
func (n *Node) Node() string { return n.node }

// Join implements broker.Cluster.
func (n *Node) Join(peer broker.Peer) error {
	n.peer = peer
	for subject, handle := range map[string]nats.MsgHandler{
		n.subject("beat"):           n.hearBeat,
		n.subject("tell." + n.node): n.hearNotice,
		n.subject("ask." + n.node):  n.hearQuestion,
	} {
		if _, err := n.conn.Subscribe(subject, handle); err != nil {
			return err
		}
	}
	if err := n.say(beat{Node: n.node, Hello: true}); err != nil {
		return err
	}
	select {
	case <-n.heardItself:
	case <-time.After(attemptTimeout):
		return fmt.Errorf("the node does not hear itself: may this user publish and subscribe to %s?", n.subject(models.AnyTail))
	}
	time.Sleep(helloTime)
	n.working.Go(n.live)
	return nil
}

// Close implements broker.Engine.
func (n *Node) Close() error {
	n.cancel()
	n.mu.Lock()
	n.closing = true
	n.mu.Unlock()
	n.working.Wait()
	if n.peer != nil {
		_ = n.say(beat{Node: n.node, Bye: true})
		_ = n.conn.FlushTimeout(beatInterval)
	}
	return n.Engine.Close()
}

func (n *Node) subject(name string) string { return n.options.Prefix + "-node." + name }

func (n *Node) say(b beat) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return n.sendSigned(n.subject("beat"), "", text, nil)
}

// sendSigned sends something signed, if the connection is there.
func (n *Node) sendSigned(subject, reply string, payload []byte, header nats.Header) error {
	if !n.link.Load().isUp() {
		return nats.ErrDisconnected
	}
	m := &nats.Msg{Subject: subject, Reply: reply, Data: payload, Header: nats.Header{}}
	maps.Copy(m.Header, header)
	m.Header[headerStamp] = []string{n.codec.stamp(usageNode, time.Now(), nodeFields(m)...)}
	return n.conn.PublishMsg(m)
}

func nodeFields(m *nats.Msg) [][]byte {
	return [][]byte{[]byte(m.Subject), []byte(m.Reply), []byte(m.Header.Get(headerPart)), []byte(m.Header.Get(headerFrom)), m.Data}
}

// isSigned tells whether something is from one of us, and new.
func (n *Node) isSigned(m *nats.Msg) bool {
	at, ours := n.codec.check(usageNode, m.Header.Get(headerStamp), nodeFields(m)...)
	if ours && time.Since(at).Abs() <= noticeSkew {
		return true
	}
	n.forged.Do(func() {
		n.options.Logger.Warn("node_not_believed", "subject", m.Subject,
			"reason", "the node has another nats.secret, its clock is more than a minute off, or it is none")
	})
	return false
}

// live says that the node lives, and counts others as dead that do not, until it ends.
func (n *Node) live() {
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = n.say(beat{Node: n.node}) // what does not arrive is what the lease is for
			n.bury()
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *Node) bury() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for node, heard := range n.others {
		if time.Since(heard) > lease {
			n.loseLocked(node)
		}
	}
}

func (n *Node) loseLocked(node string) {
	if _, lived := n.others[node]; lived {
		delete(n.others, node)
		n.options.Logger.Info("node_left", "node", node)
		n.peer.Left(node)
	}
}

func (n *Node) hearBeat(m *nats.Msg) {
	var b beat
	if !n.isSigned(m) || json.Unmarshal(m.Data, &b) != nil {
		return
	}
	if b.Node == n.node {
		n.hearItself()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if b.Bye {
		n.loseLocked(b.Node)
		return
	}
	_, lived := n.others[b.Node]
	n.others[b.Node] = time.Now()
	if !lived {
		n.options.Logger.Info("node_joined", "node", b.Node)
		n.peer.Joined(b.Node)
	}
	if b.Hello {
		_ = n.say(beat{Node: n.node})
	}
}

// Tell implements broker.Cluster.
func (n *Node) Tell(node string, notice []byte) {
	_ = n.sendSigned(n.subject("tell."+node), "", notice, nats.Header{headerFrom: {n.node}})
}

func (n *Node) hearNotice(m *nats.Msg) {
	if !n.isSigned(m) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peer.Hear(m.Header.Get(headerFrom), m.Data)
}

// hearQuestion answers in its own time.
func (n *Node) hearQuestion(m *nats.Msg) {
	if !n.isSigned(m) {
		return
	}
	select {
	case n.answers <- struct{}{}:
	case <-n.ctx.Done():
		return
	}
	n.work(func() {
		defer func() { <-n.answers }()
		ctx, cancel := context.WithTimeout(n.ctx, answerTime)
		defer cancel()
		answer := n.peer.Answer(ctx, m.Header.Get(headerFrom), m.Data)
		parts := slices.Collect(slices.Chunk(answer, min(partSize, int(n.conn.MaxPayload())-headerSpace)))
		if len(parts) == 0 {
			parts = [][]byte{nil}
		}
		for i, part := range parts {
			_ = n.sendSigned(m.Reply, "", part, nats.Header{headerPart: {fmt.Sprintf("%d/%d", i+1, len(parts))}})
		}
	})
}

// work does something in its own time, unless the node closes.
func (n *Node) work(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closing {
		n.working.Go(do)
	}
}

// Ask implements broker.Cluster.
func (n *Node) Ask(ctx context.Context, nodes []string, question []byte) map[string][]byte {
	answers := make(map[string][]byte)
	inbox := n.conn.NewInbox()
	incoming, err := n.conn.SubscribeSync(inbox + ".*")
	if err != nil {
		return answers
	}
	defer func() { _ = incoming.Unsubscribe() }()
	waiting := make(map[string]string) // nodes by subject
	for i, node := range nodes {
		reply := inbox + "." + strconv.Itoa(i)
		if n.sendSigned(n.subject("ask."+node), reply, question, nats.Header{headerFrom: {n.node}}) == nil {
			waiting[reply] = node
		}
	}
	parts := make(map[string][][]byte)
	for len(waiting) > 0 {
		m, err := incoming.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			continue // it does not say whose
		} else if err != nil {
			break
		}
		node, asked := waiting[m.Subject]
		if !asked || !n.isSigned(m) {
			continue
		}
		parts[node] = append(parts[node], m.Data)
		if number, count, _ := strings.Cut(m.Header.Get(headerPart), "/"); number == count {
			answers[node] = bytes.Join(parts[node], nil)
			delete(waiting, m.Subject)
		}
	}
	return answers
}
