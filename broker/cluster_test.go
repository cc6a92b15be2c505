package broker_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// joint is one of the nodes of a cluster under test.
type joint struct {
	*service
	engine *enginetest.Node
}

// startCluster runs a PubSub for each name, all over one log.
func startCluster(t *testing.T, names ...string) []*joint {
	t.Helper()
	_, nodes := foundCluster(t, names...)
	return nodes
}

func foundCluster(t *testing.T, names ...string) (*enginetest.Cluster, []*joint) {
	t.Helper()
	cluster, err := enginetest.NewCluster(t.Context(), enginetest.Generous())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	nodes := make([]*joint, 0, len(names))
	for _, name := range names {
		nodes = append(nodes, startNode(t, cluster, name))
	}
	// Who came first is told of the last one in its own time.
	for _, n := range nodes {
		n.engine.Settle()
	}
	return cluster, nodes
}

func startNode(t *testing.T, cluster *enginetest.Cluster, name string) *joint {
	t.Helper()
	engine := cluster.Node(name)
	return &joint{startOver(t, engine, defaults()), engine}
}

func (n *joint) allClients(filter models.ClientFilter) (all []models.ClientInfo, unreachable []string) {
	n.t.Helper()
	for {
		page, err := n.Clients(n.t.Context(), models.Caller{}, filter)
		if err != nil || len(page.Clients) > filter.Limit {
			n.t.Fatalf("%d clients in a page: %v", len(page.Clients), err)
		}
		all = append(all, page.Clients...)
		if filter.After = page.Next; filter.After == "" {
			return all, page.Unreachable
		}
	}
}

func (n *joint) allTopics(filter models.TopicFilter) (all []models.TopicInfo, unreachable []string) {
	n.t.Helper()
	for {
		page, err := n.Topics(n.t.Context(), models.Caller{}, filter)
		if err != nil || len(page.Topics) > filter.Limit {
			n.t.Fatalf("%d topics in a page: %v", len(page.Topics), err)
		}
		all = append(all, page.Topics...)
		if filter.After = page.Next; filter.After == "" {
			return all, page.Unreachable
		}
	}
}

func (n *joint) allMembers(topic models.Topic, page models.Page) (all []models.Member, unreachable []string) {
	n.t.Helper()
	for {
		of, err := n.Members(n.t.Context(), models.Caller{}, topic, page)
		if err != nil || len(of.Clients) > page.Limit {
			n.t.Fatalf("%d members in a page: %v", len(of.Clients), err)
		}
		all = append(all, of.Clients...)
		if page.After = of.Next; page.After == "" {
			return all, of.Unreachable
		}
	}
}

func TestNodesKeepTheContract(t *testing.T) {
	enginetest.Run(t, enginetest.Doubts{}, func(t *testing.T, history broker.History) broker.Engine {
		cluster, err := enginetest.NewCluster(t.Context(), history)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cluster.Close() })
		return cluster.Node("a")
	})
}

// TestListsOfAllNodes: whichever node is asked, and however large the pages are, the lists
// have what is on all nodes, once, in order.
func TestListsOfAllNodes(t *testing.T) {
	nodes := startCluster(t, "a", "b", "c")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's chance
	var clients []models.ClientInfo
	var members []models.Member
	subscribers := make(map[models.Topic]int)
	for i := range 60 {
		// Many come to one node in a row, so that its ids lie beside each other.
		n := nodes[i/7%2]
		user := fmt.Sprintf("user-%d", i%3)
		var topics []models.Pattern
		for range random.IntN(4) {
			topics = append(topics, models.Pattern(fmt.Sprintf("room.%d", random.IntN(20))))
		}
		slices.Sort(topics)
		topics = slices.Compact(topics)
		c, _ := n.member(user, append(topics, "all.>")...)
		clients = append(clients, models.ClientInfo{ID: c.ID(), Node: n.engine.Node(), User: user})
		for _, topic := range topics {
			subscribers[models.Topic(topic)]++
			if topic == "room.1" {
				members = append(members, models.Member{ClientID: c.ID(), User: user})
			}
		}
	}
	messages := make(map[models.Topic]int)
	for range 40 {
		topic := models.Topic(fmt.Sprintf("room.%d", random.IntN(30)))
		nodes[2].publish(topic, "1")
		messages[topic]++
	}
	var topics []models.TopicInfo
	for i := range 30 {
		topic := models.Topic(fmt.Sprintf("room.%d", i))
		if subscribers[topic]+messages[topic] > 0 {
			topics = append(topics, models.TopicInfo{Name: topic, Subscribers: subscribers[topic], Messages: messages[topic]})
		}
	}
	slices.SortFunc(topics, func(a, b models.TopicInfo) int { return strings.Compare(string(a.Name), string(b.Name)) })
	for _, n := range nodes {
		for _, limit := range []int{1, 2, 3, 7, 59, 60, 61, 1000} {
			page := models.Page{Limit: limit}
			gotClients, _ := n.allClients(models.ClientFilter{Page: page})
			for i, c := range gotClients {
				gotClients[i] = models.ClientInfo{ID: c.ID, Node: c.Node, User: c.User}
			}
			if diff := cmp.Diff(clients, gotClients); diff != "" {
				t.Fatalf("clients by %d (-want +got):\n%s", limit, diff)
			}
			gotTopics, _ := n.allTopics(models.TopicFilter{Page: page})
			for i := range gotTopics {
				gotTopics[i].LastID, gotTopics[i].LastTime = models.ID{}, models.Timestamp{}
			}
			if diff := cmp.Diff(topics, gotTopics); diff != "" {
				t.Fatalf("topics by %d (-want +got):\n%s", limit, diff)
			}
			gotMembers, _ := n.allMembers("room.1", page)
			if diff := cmp.Diff(members, gotMembers); diff != "" {
				t.Fatalf("members by %d (-want +got):\n%s", limit, diff)
			}
		}
		of, _ := n.allClients(models.ClientFilter{Page: models.Page{Limit: 3}, User: "user-1"})
		in, _ := n.allClients(models.ClientFilter{Page: models.Page{Limit: 3}, Topic: "room.1"})
		matching, _ := n.allTopics(models.TopicFilter{Page: models.Page{Limit: 3}, Pattern: "room.*"})
		if len(of) != 20 || len(in) != len(members) || len(matching) != len(topics) {
			t.Errorf("%d of a user, %d in a room, %d rooms", len(of), len(in), len(matching))
		}
		info, err := n.Topic(t.Context(), models.Caller{}, topics[0].Name)
		if err != nil || info.Subscribers != topics[0].Subscribers || info.Messages != topics[0].Messages {
			t.Errorf("one topic: %+v, %v", info, err)
		}
	}
}

// TestFindingAClient: it is found, and disconnected, from every node.
func TestFindingAClient(t *testing.T) {
	nodes := startCluster(t, "a", "b", "c")
	var clients []*broker.Client
	var conns []*pipe
	for range 4 {
		c, conn := nodes[1].member("ada")
		clients, conns = append(clients, c), append(conns, conn)
	}
	for _, n := range nodes {
		info, err := n.Client(t.Context(), models.Caller{}, clients[0].ID())
		if err != nil || info.ID != clients[0].ID() || info.Node != "b" || info.User != "ada" {
			t.Errorf("%+v, %v", info, err)
		}
	}
	for i, n := range nodes[:2] {
		if err := n.Disconnect(t.Context(), models.Caller{}, clients[i].ID(), models.CloseDisconnected); err != nil {
			t.Error(err)
		}
		if code := conns[i].awaitClose(); code != models.CloseDisconnected {
			t.Errorf("closed with %d", code)
		}
	}
	stranger, _ := nodes[0].member("eve")
	nodes[1].RemoveClient(clients[0], models.CloseAbnormal)
	nodes[1].RemoveClient(clients[1], models.CloseAbnormal)
	count, unreachable := nodes[2].DisconnectUser(t.Context(), models.Caller{}, "ada", models.CloseDisconnected)
	if count != 2 || unreachable != nil {
		t.Errorf("%d of ada's are disconnected, %v did not answer", count, unreachable)
	}
	for _, conn := range conns[2:] {
		if code := conn.awaitClose(); code != models.CloseDisconnected {
			t.Errorf("closed with %d", code)
		}
	}
	if _, err := nodes[1].Client(t.Context(), models.Caller{}, stranger.ID()); err != nil {
		t.Error(err)
	}
	for _, id := range []string{
		clients[0].ID(), "", "x", strings.ToUpper(stranger.ID()), "urn:uuid:" + stranger.ID(), "\xff", strings.Repeat("\x01", 1<<20),
	} {
		if _, err := nodes[1].Client(t.Context(), models.Caller{}, id); models.AsError(err).Code != models.CodeNotFound {
			t.Errorf("%.50q: %v", id, err)
		}
		err := nodes[1].Disconnect(t.Context(), models.Caller{}, id, models.CloseDisconnected)
		if models.AsError(err).Code != models.CodeNotFound {
			t.Errorf("%.50q: %v", id, err)
		}
	}
}

// TestStrangeQuestions: what somebody asks with may be of any length, and no UTF-8.
func TestStrangeQuestions(t *testing.T) {
	nodes := startCluster(t, "a", "b")
	c, _ := nodes[1].member("ada", "room")
	for after, want := range map[string]int{
		"": 1, "\xff": 0, strings.Repeat("0", 1<<20): 1, c.ID() + "x": 0, c.ID()[:35] + strings.Repeat("\xff", 1000): 0,
	} {
		page := models.Page{Limit: 2, After: after}
		clients, missing := nodes[0].allClients(models.ClientFilter{Page: page})
		members, out := nodes[0].allMembers("room", page)
		if len(clients) != want || len(members) != want || missing != nil || out != nil {
			t.Errorf("after %.50q: %d clients, %d members, without %v, %v", after, len(clients), len(members), missing, out)
		}
	}
	for after, want := range map[string]int{"": 1, "\xff": 0, strings.Repeat("a", 1<<20): 1, "room" + strings.Repeat(".", 1000): 0} {
		if topics, _ := nodes[0].allTopics(models.TopicFilter{Page: models.Page{Limit: 2, After: after}}); len(topics) != want {
			t.Errorf("after %.50q: %d topics", after, len(topics))
		}
	}
	clients, missing := nodes[0].allClients(models.ClientFilter{Page: models.Page{Limit: 2}, User: "\xffada"})
	count, out := nodes[0].DisconnectUser(t.Context(), models.Caller{}, "\xffada", models.CloseDisconnected)
	if len(clients) != 0 || missing != nil || count != 0 || out != nil {
		t.Errorf("%d clients and %d disconnected, without %v, %v", len(clients), count, missing, out)
	}
}

// TestUnreachableNodesAreNamed: what the others have is told all the same, within the deadline.
func TestUnreachableNodesAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startCluster(t, "a", "b", "c", "d")
		a := nodes[0]
		var ids []string
		for _, n := range nodes {
			c, _ := n.member("ada", "room")
			ids = append(ids, c.ID())
		}
		nodes[1].engine.Cut()
		nodes[3].engine.Slow(time.Minute)
		begin := time.Now()
		page := models.Page{Limit: 10}
		want := []string{"b", "d"}
		clients, missing := a.allClients(models.ClientFilter{Page: page})
		if len(clients) != 2 || !slices.Equal(missing, want) {
			t.Errorf("%d clients, without %v", len(clients), missing)
		}
		members, missing := a.allMembers("room", page)
		if len(members) != 2 || !slices.Equal(missing, want) {
			t.Errorf("%d members, without %v", len(members), missing)
		}
		topics, missing := a.allTopics(models.TopicFilter{Page: page})
		if len(topics) != 1 || topics[0].Subscribers != 2 || topics[0].Unreachable != nil || !slices.Equal(missing, want) {
			t.Errorf("topics %+v, without %v", topics, missing)
		}
		info, err := a.Topic(t.Context(), models.Caller{}, "room")
		if err != nil || info.Subscribers != 2 || !slices.Equal(info.Unreachable, want) {
			t.Errorf("topic %+v, %v", info, err)
		}
		_, err = a.Topic(t.Context(), models.Caller{}, "other")
		wantUnreachable(t, err)
		_, err = a.Client(t.Context(), models.Caller{}, ids[1])
		wantUnreachable(t, err)
		wantUnreachable(t, a.Disconnect(t.Context(), models.Caller{}, ids[3], models.CloseDisconnected))
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("seven questions took %v", took)
		}
		begin = time.Now()
		if _, err := a.Client(t.Context(), models.Caller{}, ids[2]); err != nil {
			t.Error("it is on a node that answers:", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it is found at once, and that took %v", took)
		}
		count, missing := a.DisconnectUser(t.Context(), models.Caller{}, "ada", models.CloseDisconnected)
		if count != 2 || !slices.Equal(missing, want) {
			t.Errorf("%d are disconnected, without %v", count, missing)
		}

		// Who is taken for dead is missed no more, and who is back is asked again.
		nodes[3].engine.Slow(0)
		nodes[1].engine.Bury()
		synctest.Wait()
		if _, missing = a.allClients(models.ClientFilter{Page: page}); missing != nil {
			t.Errorf("without %v", missing)
		}
		if _, err = a.Client(t.Context(), models.Caller{}, ids[1]); models.AsError(err).Code != models.CodeNotFound {
			t.Error(err)
		}
		nodes[1].engine.Heal()
		synctest.Wait()
		if info, err := a.Client(t.Context(), models.Caller{}, ids[1]); err != nil || info.Node != "b" {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

func wantUnreachable(t *testing.T, err error) {
	t.Helper()
	e := models.AsError(err)
	if e.Code != models.CodeEngineUnavailable || !strings.HasSuffix(e.Message, ": b, d") || e.RetryAfter == 0 {
		t.Errorf("%v, want to know who did not answer", err)
	}
}

// TestHeavyClientsOfAllNodes: a page is bounded by its subscriptions, also if each node has so
// many.
func TestHeavyClientsOfAllNodes(t *testing.T) {
	const clients, each = 24, 1000
	nodes := startCluster(t, "a", "b", "c")
	patterns := make([]models.Pattern, each)
	for i := range patterns {
		patterns[i] = models.Pattern(fmt.Sprintf("t.%d", i))
	}
	for i := range clients {
		nodes[i%3].join(patterns...)
	}
	filter := models.ClientFilter{Page: models.Page{Limit: models.MaxPageLimit}}
	seen := 0
	for {
		page, err := nodes[0].Clients(t.Context(), models.Caller{}, filter)
		if err != nil || len(page.Clients) > 10 {
			t.Fatalf("a page with %d clients: %v", len(page.Clients), err)
		}
		seen += len(page.Clients)
		if filter.After = page.Next; filter.After == "" {
			break
		}
	}
	if seen != clients {
		t.Errorf("%d clients", seen)
	}
}

// loner is a node that cannot join.
type loner struct{ *nodeEngine }

// nodeEngine has a name that is not that of one of its methods.
type nodeEngine = enginetest.Node

func (loner) Join(broker.Peer) error { return errors.New("there is no way to the others") }

// TestJoiningFails: nothing is left of the PubSub, and the engine is still the caller's.
func TestJoiningFails(t *testing.T) {
	cluster, err := enginetest.NewCluster(t.Context(), enginetest.Generous())
	if err != nil {
		t.Fatal(err)
	}
	engine := cluster.Node("a")
	if p, err := broker.New(t.Context(), loner{engine}, defaults()); err == nil || p != nil {
		t.Errorf("%v, %v", p, err)
	}
	if err := errors.Join(engine.Close(), cluster.Close()); err != nil {
		t.Error(err)
	}
}
