package natsengine_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// peer notes what it hears.
type peer struct{ heard chan string }

func newPeer() *peer { return &peer{make(chan string, 1000)} }

func (p *peer) Joined(node string)              { p.heard <- "joined " + node }
func (p *peer) Left(node string)                { p.heard <- "left " + node }
func (p *peer) Hear(node string, notice []byte) { p.heard <- node + ": " + string(notice) }
func (p *peer) Answer(_ context.Context, node string, question []byte) []byte {
	if string(question) == "nothing" {
		return nil
	}
	return append(bytes.Repeat([]byte("x"), 3<<20), node+"?"+string(question)...)
}

func (p *peer) want(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-p.heard:
		if got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("heard nothing, want %q", want)
	}
}

func join(t *testing.T, cluster *natstest.Cluster) (*natsengine.Node, *peer) {
	t.Helper()
	o := clustered(t, cluster, "NODES", enginetest.Generous())
	o.History.MaxBytes, o.Replicas, o.Secret = 100<<20, 1, strings.Repeat("s", 32)
	n := natsengine.NewNode(open(t, o))
	p := newPeer()
	if err := n.Join(p); err != nil {
		t.Fatal(err)
	}
	return n, p
}

func TestNodes(t *testing.T) {
	cluster := natstest.Start(t, 1)
	a, pa := join(t, cluster)
	b, pb := join(t, cluster)
	pb.want(t, "joined "+a.Node())
	pa.want(t, "joined "+b.Node())
	for i := range 100 {
		a.Tell(b.Node(), bytes.Repeat([]byte("n"), i))
	}
	for i := range 100 {
		pb.want(t, a.Node()+": "+strings.Repeat("n", i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers := a.Ask(ctx, []string{b.Node()}, []byte("who"))
	if got := string(answers[b.Node()]); len(got) != 3<<20+len(a.Node())+4 || !strings.HasSuffix(got, a.Node()+"?who") {
		t.Errorf("an answer of %d bytes", len(got))
	}
	if answers := a.Ask(ctx, []string{b.Node()}, []byte("nothing")); len(answers) != 1 || len(answers[b.Node()]) > 0 {
		t.Errorf("%q", answers)
	}
	// Who does not know the secret is not heard.
	stranger, err := nats.Connect(cluster.URLs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, subject := range []string{"beat", "tell." + b.Node(), "ask." + b.Node()} {
		if err := stranger.PublishRequest("prefix-NODES-node."+subject, "answers", []byte(`{"node":"x"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stranger.Flush(); err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancelShort()
	if answers := a.Ask(short, []string{"nobody", b.Node()}, []byte("nothing")); len(answers) != 1 {
		t.Errorf("%q", answers)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	pb.want(t, "left "+a.Node())
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestNodeOutOfReach: who is cut off from the others is dead to them, and they to it, until it is back.
func TestNodeOutOfReach(t *testing.T) {
	cluster := natstest.Start(t, 1)
	a, pa := join(t, cluster)
	b, pb := join(t, cluster)
	pb.want(t, "joined "+a.Node())
	pa.want(t, "joined "+b.Node())
	cluster.Server(0).Kill()
	pa.want(t, "left "+b.Node())
	pb.want(t, "left "+a.Node())
	cluster.Server(0).Start()
	pa.want(t, "joined "+b.Node())
	pb.want(t, "joined "+a.Node())
	for _, n := range []*natsengine.Node{a, b} {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNodesAfterAnotherEpoch: nodes without a secret know each other when one comes after a new epoch began.
func TestNodesAfterAnotherEpoch(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	node := func() (*natsengine.Node, *peer) {
		n := natsengine.NewNode(open(t, o))
		t.Cleanup(func() { _ = n.Close() })
		if err := n.Start(t.Context(), silent{}); err != nil {
			t.Fatal(err)
		}
		p := newPeer()
		if err := n.Join(p); err != nil {
			t.Fatal(err)
		}
		return n, p
	}
	a, pa := node()
	request(t, connect(t, cluster.URLs()[0]), "$JS.API.STREAM.DELETE."+o.Stream, nil)
	publishedAgain := func() bool {
		_, err := a.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1")})
		return err == nil
	}
	until(t, "published again", publishedAgain)
	b, _ := node()
	select {
	case got := <-pa.heard:
		if got != "joined "+b.Node() {
			t.Error(got)
		}
	case <-time.After(time.Minute):
		t.Error("they do not know each other")
	}
}
