//go:build unix

package app_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/app/severable"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

const (
	// clusterLife bounds all of what a cluster is used for.
	clusterLife = 10 * time.Minute
	// clusterStream is the name of its stream.
	clusterStream = "FANFARE"
	// outage is how long a server is paused: longer than others need to see that it is away.
	outage = 6 * time.Second
)

// nodes is some nodes of Fanfare, each a process, that find each NATS server by a way of their own.
type nodes struct {
	t    *testing.T
	ways [][]*severable.Way // by node and server
	pace *http.Transport

	mu      sync.Mutex
	servers []*server // nil while a node is away
}

func startNodes(t *testing.T, cluster *natstest.Cluster, count int) *nodes {
	t.Helper()
	n := &nodes{t: t, servers: make([]*server, count), pace: &http.Transport{MaxIdleConnsPerHost: 16}}
	t.Cleanup(n.pace.CloseIdleConnections)
	for i := range count {
		var ways []*severable.Way
		for _, url := range cluster.URLs() {
			ways = append(ways, severable.New(t, strings.TrimPrefix(url, "nats://")))
		}
		n.ways = append(n.ways, ways)
		n.start(i)
	}
	return n
}

func (n *nodes) count() int { return len(n.ways) }

// start starts a node.
func (n *nodes) start(i int) {
	n.t.Helper()
	var urls []string
	for _, way := range n.ways[i] {
		urls = append(urls, "nats://"+way.Address())
	}
	s := startFor(n.t, clusterLife, ":",
		"FANFARE_ENGINE=nats", "FANFARE_NATS_URLS="+strings.Join(urls, ","), "FANFARE_NATS_REPLICAS=3",
		"FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC=100000", "FANFARE_NATS_STREAM="+clusterStream)
	s.client = &http.Client{Transport: n.pace}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[i] = s
}

// end sends a node a signal, and has its clients go elsewhere.
func (n *nodes) end(i int, signal os.Signal) error {
	n.t.Helper()
	n.mu.Lock()
	s := n.servers[i]
	n.servers[i] = nil
	n.mu.Unlock()
	n.signal(s, signal)
	return <-s.stopped
}

func (n *nodes) signal(s *server, signal os.Signal) {
	n.t.Helper()
	process, err := os.FindProcess(s.pid)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := process.Signal(signal); err != nil {
		n.t.Fatal(err)
	}
}

// near gives a node, or another if it is away.
func (n *nodes) near(i int) *server {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.servers[i%len(n.servers)] == nil {
		i++
	}
	return n.servers[i%len(n.servers)]
}

// awaitReady waits until a node says that it is ready, or is not.
func (n *nodes) awaitReady(t *testing.T, i, status int) {
	t.Helper()
	s := n.near(i)
	for end := time.Now().Add(patience); s.status("/readyz") != status; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("node %d does not come to say %d", i, status)
		}
	}
}

// server gives the number of the NATS server that a node is connected to.
func (n *nodes) server(t *testing.T, i int) int {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for server, way := range n.ways[i] {
			if way.Carries() > 0 {
				return server
			}
		}
	}
	t.Fatalf("node %d is not connected", i)
	return 0
}

// witness is a client that is there before the log goes away.
func (n *nodes) witness(t *testing.T, i int) func() {
	t.Helper()
	s := n.near(i)
	client := s.subscribed("refused")
	return func() { expectRefusals(t, s, client) }
}

// expectRefusals looks at what publishers are told while the log is away.
func expectRefusals(t *testing.T, s *server, client foreign) {
	t.Helper()
	defer client.close() //nolint:errcheck // it is over
	begin := time.Now()
	_, problem, err := s.offer("refused", "x")
	if err != nil || problem.Code != models.CodeEngineUnavailable || problem.Status != http.StatusServiceUnavailable {
		t.Errorf("over HTTP: %+v, %v", problem, err)
	}
	if err := client.send(`{"action":"publish","topic":"refused","data":1,"ref":"x"}`); err != nil {
		t.Fatal(err)
	}
	text, err := client.receive()
	var f frame
	if err != nil || json.Unmarshal(text, &f) != nil || f.Type != "error" || f.Code != string(models.CodeEngineUnavailable) || string(f.Ref) != `"x"` {
		t.Errorf("over WebSocket: %s, %v", text, err)
	}
	t.Logf("two publishes were refused within %v", time.Since(begin).Round(time.Millisecond))
}

// TestCluster: whatever goes down and comes back, everybody who comes back with the last id has every message
// that was answered, once and in the same order, and nothing is called lost; nobody is disconnected but by the
// end of a node.
func TestCluster(t *testing.T) {
	cluster := natstest.Start(t, 3)
	n := startNodes(t, cluster, 2)
	epoch := n.near(0).publish("begin", "0", "application/json").ID.Epoch

	tests := []struct {
		name string
		// mortal tells that nodes end.
		mortal bool
		run    func(*testing.T, *load)
	}{
		{name: "nothing happens", run: func(*testing.T, *load) {}},
		{name: "a follower is killed", run: func(_ *testing.T, l *load) {
			server := cluster.Follower(clusterStream)
			server.Kill()
			l.progress(20)
			server.Start()
		}},
		{name: "the leader is killed", run: func(_ *testing.T, l *load) {
			server := cluster.Leader(clusterStream)
			server.Kill()
			l.progress(20)
			server.Start()
		}},
		{name: "all servers are killed", run: func(t *testing.T, _ *load) {
			witnesses := []func(){n.witness(t, 0), n.witness(t, 1)}
			for i := range 3 {
				cluster.Server(i).Kill()
			}
			for i, witness := range witnesses {
				n.awaitReady(t, i, http.StatusServiceUnavailable)
				witness()
			}
			for i := range 3 {
				cluster.Server(i).Start()
			}
		}},
		{name: "the leader is paused", run: func(_ *testing.T, l *load) {
			server := cluster.Leader(clusterStream)
			server.Pause()
			time.Sleep(outage)
			server.Resume()
			l.progress(20)
		}},
		{name: "the server of a node is paused", run: func(t *testing.T, l *load) {
			server := cluster.Server(n.server(t, 0))
			server.Pause()
			time.Sleep(outage)
			server.Resume()
			l.progress(20)
		}},
		{name: "the leader is alone", run: func(_ *testing.T, l *load) {
			leader := cluster.Leader(clusterStream)
			each := func(act func(*natstest.Server)) {
				for i := range 3 {
					if server := cluster.Server(i); server != leader {
						act(server)
					}
				}
			}
			each((*natstest.Server).Pause)
			time.Sleep(outage)
			each((*natstest.Server).Resume)
			l.progress(20)
		}},
		{name: "a node is cut off", run: func(t *testing.T, _ *load) {
			witness := n.witness(t, 0)
			for _, way := range n.ways[0] {
				way.Freeze()
			}
			n.awaitReady(t, 0, http.StatusServiceUnavailable)
			witness()
			for _, way := range n.ways[0] {
				way.Thaw()
			}
		}},
		{name: "a node is disconnected", run: func(t *testing.T, _ *load) {
			witness := n.witness(t, 0)
			for _, way := range n.ways[0] {
				way.Block()
			}
			n.awaitReady(t, 0, http.StatusServiceUnavailable)
			witness()
			for _, way := range n.ways[0] {
				way.Unblock()
			}
		}},
		{name: "a node is paused", run: func(_ *testing.T, _ *load) {
			n.signal(n.near(0), syscall.SIGSTOP)
			time.Sleep(outage)
			n.signal(n.near(0), syscall.SIGCONT)
		}},
		{name: "a node is killed", mortal: true, run: func(_ *testing.T, l *load) {
			_ = n.end(0, syscall.SIGKILL)
			l.progress(20)
			n.start(0)
		}},
		{name: "a rolling restart", mortal: true, run: func(t *testing.T, l *load) {
			for i := range n.count() {
				if err := n.end(i, syscall.SIGTERM); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				l.progress(10)
				n.start(i)
				l.progress(10)
			}
		}},
	}
	for _, tt := range tests {
		complete := t.Run(tt.name, func(t *testing.T) {
			for i := range n.count() {
				n.awaitReady(t, i, http.StatusOK)
			}
			cluster.AwaitCurrent(clusterStream)
			l := startLoad(t, n, tt.mortal)
			l.progress(20)
			begin := time.Now()
			tt.run(t, l)
			l.progress(20)
			t.Logf("it took %v", time.Since(begin).Round(time.Millisecond))
			l.finish()
			if l.begin.Epoch != epoch {
				t.Errorf("the epoch has changed from %s to %s", epoch, l.begin.Epoch)
			}
		})
		if !complete {
			t.Fatal("what comes next needs a cluster that is well")
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		begin := time.Now()
		cluster.AwaitConsumers(clusterStream, 0)
		t.Logf("no consumer is left after %v", time.Since(begin).Round(time.Millisecond))
		client := n.near(1).subscribed("load.>")
		cluster.AwaitConsumers(clusterStream, 1)
		_ = client.close()
		cluster.AwaitConsumers(clusterStream, 0)
	})
	// They end in order without NATS, too.
	for i := range 3 {
		cluster.Server(i).Kill()
	}
	for i := range n.count() {
		if err := n.end(i, syscall.SIGTERM); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}
