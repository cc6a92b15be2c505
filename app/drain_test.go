//go:build unix

package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"fanfare/app/severable"
	"fanfare/broker/natsengine/natstest"
	fanfare "fanfare/clients/go"
)

// TestDrain: when the nodes behind a load balancer that follows /readyz are restarted one after the other, nothing that
// is published is refused, nobody who comes back is turned away, and everybody has everything once and in order.
func TestDrain(t *testing.T) {
	for _, mode := range []string{"tcp", "http"} {
		t.Run(mode, func(t *testing.T) {
			const count = 2
			cluster := natstest.Start(t, 1)
			b := startBalancer(t, mode, count)
			servers := make([]*server, count)
			start := func(i int) {
				servers[i] = startFor(t, clusterLife, ":", "FANFARE_ENGINE=nats", "FANFARE_NATS_URLS="+strings.Join(cluster.URLs(), ","),
					"FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC=100000", "FANFARE_SERVER_DRAIN_DELAY=3s")
				b.put(i, servers[i].address)
			}
			front := b.server()
			for i := range servers {
				start(i)
				front.await(func() bool { return b.isUp(i) })
			}

			all := []string{"load.>"}
			l := startLoad(t, &nodes{t: t, ways: make([][]*severable.Way, 1), servers: []*server{front}}, true,
				&loadListener{transport: "poll", topics: all}, &loadListener{transport: "poll", topics: all})
			p := startPair(t, front)
			stopHasty := publishHastily(t, front)
			l.progress(20)
			p.progress(20)
			for i := range servers {
				l.nodes.signal(servers[i], syscall.SIGTERM)
				if err := <-servers[i].stopped; err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				l.progress(20)
				p.progress(20)
				start(i)
				front.await(func() bool { return b.isUp(i) })
			}
			l.progress(20)
			stopHasty()
			l.finish()
			p.finish()
			for _, publisher := range l.publishers {
				if n := publisher.refused.Load(); n > 0 {
					t.Errorf("publisher %s was refused %d times", publisher.name, n)
				}
			}
			for _, listener := range l.listeners {
				if listener.turnedAway > 0 {
					t.Errorf("%s was turned away %d times", listener.name, listener.turnedAway)
				}
				if listener.transport != "poll" && listener.resumed == 0 {
					t.Errorf("%s was at no node that has ended", listener.name)
				}
			}
		})
	}
}

// publishHastily publishes over connections that never rest, until it is stopped. Whatever is refused is an error.
func publishHastily(t *testing.T, s *server) (stop func()) {
	t.Helper()
	var publishing sync.WaitGroup
	over := make(chan struct{})
	stop = sync.OnceFunc(func() {
		close(over)
		publishing.Wait()
	})
	t.Cleanup(stop)
	for range 8 {
		publishing.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, problem, err := s.offer("hasty", "x"); err != nil || problem.Code != "" {
					t.Errorf("a hasty publisher: %+v, %v", problem, err)
				}
			}
		})
	}
	return stop
}

// pair is a Go client that publishes numbers, and one that hears them.
type pair struct {
	t              *testing.T
	publisher      *fanfare.Client
	stop           context.CancelFunc
	published      chan int // how many there were, at the end
	heard          atomic.Int64
	over           chan struct{}
	disconnections atomic.Int64
}

func startPair(t *testing.T, s *server) *pair {
	t.Helper()
	p := &pair{t: t, published: make(chan int, 1), over: make(chan struct{})}
	connect := func() *fanfare.Client {
		client, err := fanfare.Connect(s.url("http"), fanfare.Options{
			HTTPClient:   &http.Client{Transport: transportOf(t)},
			OnDisconnect: func(error, time.Duration) { p.disconnections.Add(1) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	p.publisher = connect()
	subscription, err := connect().Subscribe(t.Context(), fanfare.SubscribeOptions{Topics: []string{"pair"}})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(t.Context())
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := p.publisher.Publish(t.Context(), "pair", n); err != nil {
				t.Errorf("the Go client's publish %d: %v", n, err)
				break
			}
		}
		p.published <- n
	}()
	go func() {
		defer close(p.over)
		for message, err := range subscription.Messages(t.Context()) {
			if err != nil {
				t.Errorf("the Go client heard %v", err)
				return
			}
			var n int64
			if json.Unmarshal(message.Data, &n) == nil && n < 0 {
				return
			}
			if want := p.heard.Add(1) - 1; n != want {
				t.Errorf("the Go client heard %d in place of %d", n, want)
				return
			}
		}
	}()
	return p
}

// progress waits until so many more have been heard.
func (p *pair) progress(messages int64) {
	p.t.Helper()
	before := p.heard.Load()
	(&server{t: p.t}).await(func() bool { return p.heard.Load() >= before+messages })
}

// finish ends it, and looks whether all was heard.
func (p *pair) finish() {
	p.t.Helper()
	p.stop()
	published := <-p.published
	if _, err := p.publisher.Publish(p.t.Context(), "pair", -1); err != nil {
		p.t.Fatal(err)
	}
	<-p.over
	if heard := p.heard.Load(); heard != int64(published) {
		p.t.Errorf("the Go client heard %d of %d", heard, published)
	}
	if p.disconnections.Load() < 2 {
		p.t.Error("the Go clients were at no node that has ended")
	}
}
