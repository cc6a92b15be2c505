package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// minute bounds what never takes so long.
const minute = time.Minute

// service is a PubSub under test, with its clients' owners.
type service struct {
	*broker.PubSub
	t *testing.T
}

// start runs a PubSub over the memory engine and closes it with the test.
func start(t *testing.T, options broker.Options) *service {
	t.Helper()
	return startOver(t, broker.NewMemory(enginetest.Generous()), options)
}

func startOver(t *testing.T, engine broker.Engine, options broker.Options) *service {
	t.Helper()
	p, err := broker.New(t.Context(), engine, options)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{p, t}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), minute)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect adds a client, takes its welcome, and removes it as its owner would when the
// broker has closed it.
func (s *service) connect(conn *pipe) *broker.Client {
	s.t.Helper()
	c, err := s.AddClient(s.t.Context(), models.Caller{}, conn, models.Connection{Transport: models.TransportWebSocket})
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		conn.awaitClose()
		s.RemoveClient(c, models.CloseAbnormal)
	}()
	return c
}

// join connects a client, and subscribes it to patterns.
func (s *service) join(patterns ...models.Pattern) (*broker.Client, *pipe) {
	s.t.Helper()
	conn := newPipe(s.t)
	c := s.connect(conn)
	conn.want("welcome")
	s.subscribe(c, patterns...)
	conn.want("ack")
	return c, conn
}

func (s *service) subscribe(c *broker.Client, patterns ...models.Pattern) {
	s.t.Helper()
	s.subscribeWith("", c, patterns...)
}

// subscribeWith is subscribe with an overflow policy.
func (s *service) subscribeWith(overflow models.Overflow, c *broker.Client, patterns ...models.Pattern) {
	s.t.Helper()
	options := models.SubscribeOptions{Overflow: overflow}
	if err := s.Subscribe(s.t.Context(), models.Caller{}, c, patterns, options, models.Ack{Type: "ack"}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) unsubscribe(c *broker.Client, patterns ...models.Pattern) {
	s.t.Helper()
	if err := s.Unsubscribe(s.t.Context(), models.Caller{}, c, patterns, models.Ack{Type: "ack"}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) publish(topic models.Topic, data string) models.Receipt {
	s.t.Helper()
	receipt, err := s.Publish(s.t.Context(), models.Caller{}, models.Draft{Topic: topic, Data: []byte(data)})
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

func TestWelcomeComesFirst(t *testing.T) {
	s := start(t, defaults())
	conn := newPipe(t)
	c := s.connect(conn)
	s.subscribe(c, "a")
	if welcome := conn.want("welcome"); welcome.ClientID != c.ID() {
		t.Errorf("welcome %+v to the client %s", welcome, c.ID())
	}
	conn.want("ack")
}

func TestPublishReachesSubscribers(t *testing.T) {
	s := start(t, defaults())
	_, exact := s.join("a.b")
	_, star := s.join("a.*")
	_, many := s.join("a.b", "a.*", ">")
	_, other := s.join("a", "b", "a.b.*")
	receipt := s.publish("a.b", `{"n":1}`)
	if *receipt.Subscribers != 5 {
		t.Errorf("%d subscribers, want 5", *receipt.Subscribers)
	}
	for name, conn := range map[string]*pipe{"exact": exact, "star": star, "many": many} {
		got := conn.want("message")
		if got.ID != receipt.ID || got.Topic != "a.b" || !cmp.Equal(got.Data, map[string]any{"n": 1.0}) {
			t.Errorf("%s: got %+v, published %v", name, got, receipt.ID)
		}
	}
	// Whoever had several matching subscriptions got it once, and others not at all.
	end := s.publish("b", "2")
	last := s.publish("c", "3")
	if got := other.want("message"); got.ID != end.ID {
		t.Errorf("got %v, want %v", got.ID, end.ID)
	}
	for _, want := range []models.ID{end.ID, last.ID} {
		if got := many.want("message"); got.ID != want {
			t.Errorf("got %v, want %v", got.ID, want)
		}
	}
}

func TestPublishCarriesWhoAsked(t *testing.T) {
	engine := &fromEngine{Memory: broker.NewMemory(enginetest.Generous())}
	s := startOver(t, engine, defaults())
	draft := models.Draft{Topic: "a", Data: []byte("1"), From: "forged"}
	if _, err := s.Publish(t.Context(), models.Caller{User: "ada"}, draft); err != nil || engine.from != "ada" {
		t.Errorf("from %q, %v", engine.from, err)
	}
}

// fromEngine remembers whom the last draft is from.
type fromEngine struct {
	*broker.Memory
	from string
}

func (e *fromEngine) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	e.from = draft.From
	return e.Memory.Publish(ctx, draft)
}

func TestPublishRefusesTooMuch(t *testing.T) {
	options := defaults()
	options.MessageSize = 10
	s := start(t, options)
	s.publish("a", "1234567890")
	_, err := s.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("12345678901")})
	if models.AsError(err).Code != models.CodePayloadTooLarge {
		t.Errorf("error %v", err)
	}
}

func TestSubscribeAckIsAPosition(t *testing.T) {
	s := start(t, defaults())
	conn := newPipe(t)
	c := s.connect(conn)
	conn.want("welcome")
	before := s.publish("a", "1")
	s.subscribe(c, "a")
	if ack := conn.want("ack"); ack.ID != before.ID {
		t.Errorf("position %v, want %v", ack.ID, before.ID)
	}
	after := s.publish("a", "2")
	if m := conn.want("message"); m.ID != after.ID {
		t.Errorf("got %v, want %v", m.ID, after.ID)
	}
}

func TestSubscribingTwiceIsOnce(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.join("a", "b", "a")
	s.subscribe(c, "a")
	conn.want("ack")
	if receipt := s.publish("a", "1"); *receipt.Subscribers != 1 {
		t.Errorf("%d subscribers", *receipt.Subscribers)
	}
	conn.want("message")
	s.unsubscribe(c, "a")
	conn.want("ack")
	if receipt := s.publish("a", "2"); *receipt.Subscribers != 0 {
		t.Errorf("%d subscribers after the unsubscribe", *receipt.Subscribers)
	}
	end := s.publish("b", "3")
	if m := conn.want("message"); m.ID != end.ID {
		t.Errorf("got %v after the unsubscribe, want %v", m.ID, end.ID)
	}
}

func TestSubscriptionsAreAllOrNone(t *testing.T) {
	options := defaults()
	options.Subscriptions = 3
	s := start(t, options)
	c, _ := s.join("a", "b")
	err := s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"c", "d"}, models.SubscribeOptions{}, models.Ack{Type: "ack"})
	if models.AsError(err).Code != models.CodeTooManySubscriptions {
		t.Errorf("subscribe over the limit: %v", err)
	}
	err = s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"c", "d", "e", "f"}, models.SubscribeOptions{}, models.Ack{Type: "ack"})
	if models.AsError(err).Code != models.CodeTooManySubscriptions {
		t.Errorf("subscribe to more than anybody may have: %v", err)
	}
	s.subscribe(c, "a", "b", "c", "a", "b")
	err = s.Unsubscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a", "x"}, models.Ack{Type: "ack"})
	if models.AsError(err).Code != models.CodeNotFound {
		t.Errorf("unsubscribe of what is not there: %v", err)
	}
	info, err := s.Client(t.Context(), models.Caller{}, c.ID())
	if diff := cmp.Diff([]models.Pattern{"a", "b", "c"}, info.Subscriptions); err != nil || diff != "" {
		t.Errorf("subscriptions: %v (-want +got):\n%s", err, diff)
	}
}

func TestRemovedClientIsGone(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.join("a", "a.*")
	if reason := s.RemoveClient(c, models.CloseNormal); reason != models.CloseNormal {
		t.Errorf("removed for %v", reason)
	}
	if last := conn.want("close"); last.Code != "1000" {
		t.Errorf("closed with %s", last.Code)
	}
	if receipt := s.publish("a", "1"); *receipt.Subscribers != 0 {
		t.Errorf("%d subscribers", *receipt.Subscribers)
	}
	for name, err := range map[string]error{
		"Subscribe":   s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.SubscribeOptions{}, models.Ack{Type: "ack"}),
		"Unsubscribe": s.Unsubscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.Ack{Type: "ack"}),
		"Disconnect":  s.Disconnect(t.Context(), models.Caller{}, c.ID(), models.CloseDisconnected),
	} {
		if models.AsError(err).Code != models.CodeNotFound {
			t.Errorf("%s of a removed client: %v", name, err)
		}
	}
	if _, err := s.Client(t.Context(), models.Caller{}, c.ID()); models.AsError(err).Code != models.CodeNotFound {
		t.Errorf("Client: %v", err)
	}
}

func TestDisconnectSaysWhy(t *testing.T) {
	s := start(t, defaults())
	c, conn := s.join("a")
	s.publish("a", "1")
	if err := s.Disconnect(t.Context(), models.Caller{}, c.ID(), models.CloseDisconnected); err != nil {
		t.Fatal(err)
	}
	s.publish("a", "2")
	conn.want("message")
	if last := conn.want("close"); last.Code != "4501" {
		t.Errorf("closed with %s", last.Code)
	}
	if reason := conn.awaitClose(); reason != models.CloseDisconnected {
		t.Errorf("connection closed for %v", reason)
	}
}

func TestClientsArePinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, defaults())
		conn := newPipe(t)
		s.connect(conn)
		conn.want("welcome")
		begin := time.Now()
		for due := minute; due <= 5*minute; due += minute {
			conn.want("ping")
			if passed := time.Since(begin); passed < due || passed > due+5*time.Second {
				t.Errorf("the ping that is due after %v came after %v", due, passed)
			}
		}
	})
}

func TestLostConnectionIsClosed(t *testing.T) {
	s := start(t, defaults())
	_, conn := s.join("a")
	conn.mu.Lock()
	conn.broken = errors.New("reset by peer")
	conn.mu.Unlock()
	s.publish("a", "1")
	if reason := conn.awaitClose(); reason != models.CloseAbnormal {
		t.Errorf("closed for %v", reason)
	}
}

func TestEngineErrorsReachThePublisher(t *testing.T) {
	engine := enginetest.NewUnruly(1, enginetest.Generous())
	s := startOver(t, engine, defaults())
	_, conn := s.join("a")
	engine.GoAway()
	_, err := s.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("1")})
	if models.AsError(err).Code != models.CodeEngineUnavailable || models.AsError(s.Ready(t.Context())).Code != models.CodeEngineUnavailable {
		t.Errorf("publish: %v, ready: %v", err, s.Ready(t.Context()))
	}
	_, err = s.Topics(t.Context(), models.Caller{}, models.TopicFilter{Page: models.Page{Limit: 1}})
	if models.AsError(err).Code != models.CodeEngineUnavailable {
		t.Errorf("topics: %v", err)
	}
	engine.ComeBack()
	receipt := s.publish("a", "2")
	if m := conn.want("message"); m.ID != receipt.ID || s.Ready(t.Context()) != nil {
		t.Errorf("after it came back: %+v, ready %v", m, s.Ready(t.Context()))
	}
}

func TestLists(t *testing.T) {
	s := start(t, defaults())
	var ids []string
	for i := range 5 {
		c, _ := s.join(models.Pattern(fmt.Sprintf("t.%d", i)), "all.*")
		ids = append(ids, c.ID())
	}
	s.publish("t.9", "1")
	last := s.publish("t.3", "1")

	var got []string
	filter := models.ClientFilter{Page: models.Page{Limit: 2}}
	for pages := 1; ; pages++ {
		page, err := s.Clients(t.Context(), models.Caller{}, filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Clients {
			got = append(got, c.ID)
		}
		if filter.After = page.Next; page.Next == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("clients, in the order of connecting (-want +got):\n%s", diff)
	}

	page, err := s.Clients(t.Context(), models.Caller{}, models.ClientFilter{Page: models.Page{Limit: 9}, Topic: "t.3"})
	if err != nil || len(page.Clients) != 1 || page.Clients[0].ID != ids[3] {
		t.Errorf("clients of a topic: %+v, %v", page, err)
	}

	topics, err := s.Topics(t.Context(), models.Caller{}, models.TopicFilter{Page: models.Page{Limit: 3, After: "t.1"}})
	want := models.TopicPage{Next: "t.4", Topics: []models.TopicInfo{
		{Name: "t.2", Subscribers: 1},
		{Name: "t.3", Subscribers: 1, Messages: 1, LastID: last.ID, LastTime: last.Time},
		{Name: "t.4", Subscribers: 1},
	}}
	if diff := cmp.Diff(want, topics); err != nil || diff != "" {
		t.Errorf("topics: %v (-want +got):\n%s", err, diff)
	}
	if _, err := s.Topic(t.Context(), models.Caller{}, "all.x"); models.AsError(err).Code != models.CodeNotFound {
		t.Errorf("a pattern made a topic: %v", err)
	}
	info, err := s.Topic(t.Context(), models.Caller{}, "t.9")
	if err != nil || info.Messages != 1 || info.Subscribers != 0 {
		t.Errorf("topic with a message: %+v, %v", info, err)
	}
}

// TestPageOfHeavyClients: a page is bounded by its subscriptions, too.
func TestPageOfHeavyClients(t *testing.T) {
	const clients, each = 25, 1000
	s := start(t, defaults())
	patterns := make([]models.Pattern, each)
	for i := range patterns {
		patterns[i] = models.Pattern(fmt.Sprintf("t.%d", i))
	}
	for range clients {
		s.join(patterns...)
	}
	filter := models.ClientFilter{Page: models.Page{Limit: models.MaxPageLimit}}
	seen := 0
	for pages := 1; ; pages++ {
		page, err := s.Clients(t.Context(), models.Caller{}, filter)
		if err != nil || len(page.Clients) > 10 {
			t.Fatalf("a page with %d clients of %d subscriptions: %v", len(page.Clients), each, err)
		}
		seen += len(page.Clients)
		if filter.After = page.Next; page.Next == "" {
			if seen != clients || pages != 3 {
				t.Errorf("%d clients in %d pages", seen, pages)
			}
			return
		}
	}
}
