package broker

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/models"
)

// countingFormat counts the frames that are made.
type countingFormat struct {
	shortFormat
	made *int
}

func (f countingFormat) Event(frame models.ServerFrame) []byte {
	*f.made++
	return f.shortFormat.Event(frame)
}

// countingConn is a valve with such a format, that knows the positions it was told.
type countingConn struct {
	valve
	format models.Format
}

func (c *countingConn) Format() models.Format { return c.format }

// TestJoinsAreEncodedOnce: however many watch, who joins is one frame in each format.
func TestJoinsAreEncodedOnce(t *testing.T) {
	const watchers = 100
	made := 0
	format := countingFormat{made: &made}
	s := newShard(0, newBudget(1<<20, time.Minute), nil, 1<<20, time.Minute)
	var conns []*countingConn
	for range watchers {
		conn := &countingConn{format: format}
		conn.open(1 << 20)
		c, err := newClient([]*shard{s}, new(models.Caller), conn, models.Connection{})
		if err != nil {
			t.Fatal(err)
		}
		s.add(c, models.NewPong(nil))
		sub := &subscription{client: c, pattern: "room.*", at: -1}
		s.watchers.add(sub)
		s.watchers.get(sub).ready = true
		conns = append(conns, conn)
	}
	made = 0
	s.tellPresence(models.NewJoin("room.1", models.Member{ClientID: "x"}))
	s.flushRound()
	if made != 1 {
		t.Errorf("%d frames were made", made)
	}
	for _, conn := range conns {
		if got := conn.taken.String(); got != "pong\nmodels.PresenceChange\n" {
			t.Fatalf("a watcher got %q", got)
		}
	}
}

// startPubSub gives a PubSub over the memory engine; it is closed with the test.
func startPubSub(t *testing.T) *PubSub {
	t.Helper()
	history := History{MaxMessagesPerTopic: 10, MaxAge: time.Hour, MaxBytes: 1 << 20}
	p, err := New(t.Context(), NewMemory(history), Options{
		MessageSize: 1 << 20, FrameSize: 1 << 20, OutboxSize: 4 << 20, Subscriptions: 1000,
		InFlightSize: 64 << 20, PublishWait: time.Minute, PingInterval: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestSubscribersWaitForTheWork: who joins is work for those who watch. While there is too
// much of it, nobody adds to it.
func TestSubscribersWaitForTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPubSub(t)
		conn := &valve{}
		conn.open(1 << 20)
		c, err := p.AddClient(t.Context(), models.Caller{}, conn, models.Connection{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.RemoveClient(c, models.CloseAbnormal)
		subscribe := func() error {
			return p.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.SubscribeOptions{}, models.Ack{})
		}
		unsubscribe := func() error {
			return p.Unsubscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.Ack{})
		}
		if err := subscribe(); err != nil {
			t.Fatal(err)
		}
		p.dispatcher.budget.begin(maxWork + 1)
		for name, call := range map[string]func() error{"subscribe": subscribe, "unsubscribe": unsubscribe} {
			if err := call(); models.AsError(err).Code != models.CodeOverloaded {
				t.Errorf("%s: %v", name, err)
			}
		}
		p.dispatcher.budget.done(maxWork + 1)
		if err := unsubscribe(); err != nil {
			t.Error(err)
		}
	})
}

// TestJoinsAreWork: they count until the shards have told them.
func TestJoinsAreWork(t *testing.T) {
	budget := newBudget(1<<20, time.Minute)
	s := newShard(0, budget, nil, 1<<20, time.Minute)
	p := newPresence(1, budget)
	p.watching[0] = 7
	c := &Client{shard: s}
	c.caller.Store(&models.Caller{})
	p.enter(c, []*subscription{{client: c, pattern: "a"}, {client: c, pattern: "b"}, {client: c, pattern: "c.*"}}, []*shard{s})
	if budget.work != 14 {
		t.Errorf("two joins for 7 are work of %d", budget.work)
	}
	s.applyAll(s.queue.take(nil))
	if budget.work != 0 {
		t.Errorf("work of %d is left", budget.work)
	}
	p.close()
	p.leave(c, []*subscription{{client: c, pattern: "a"}}, []*shard{s})
	if !s.queue.isEmpty() {
		t.Error("somebody is told of a leave when all have to leave")
	}
	poll := &Client{shard: s, connection: models.Connection{Transport: models.TransportPoll}}
	p.enter(poll, []*subscription{{client: poll, pattern: "d"}}, []*shard{s})
	if page := p.page("d", models.Page{Limit: 1}); len(page.Entries) > 0 {
		t.Errorf("a poll is a member: %+v", page)
	}
}

// TestIncompleteListsSaySo: whoever watches more than can be listed hears that.
func TestIncompleteListsSaySo(t *testing.T) {
	p := newPresence(1, newBudget(1, time.Minute))
	members := func(topics int) []*subscription {
		var subs []*subscription
		for i := range topics {
			c := &Client{}
			c.caller.Store(&models.Caller{})
			c.id[0], c.id[1] = byte(i>>8), byte(i)
			subs = append(subs, &subscription{client: c, pattern: models.Pattern(fmt.Sprintf("room.%04d", i))})
			p.enter(c, subs[i:], nil)
		}
		return subs
	}
	subs := members(maxMembers)
	wild := &subscription{pattern: "room.*"}
	last := func(of ...*subscription) (int, models.ServerFrame) {
		frames := presenceFrames(of, p.members, nil, nil)
		return len(frames), frames[len(frames)-1]
	}
	if n, f := last(wild); n != maxMembers {
		t.Errorf("as many as there may be: %d frames, the last is %+v", n, f)
	}
	members(maxMembers + 1)
	if n, f := last(wild); n != maxMembers+1 || f != models.NewIncompleteNotice("room.*") {
		t.Errorf("one more: %d frames, the last is %+v", n, f)
	}
	if n, f := last(append(subs, wild)...); n != maxMembers+1 || f != models.NewIncompleteNotice("room.*") {
		t.Errorf("one by one: %d frames, the last is %+v", n, f)
	}
}

// readCounter counts the reads of pages, which wait for its gate.
type readCounter struct {
	Engine
	pages atomic.Int64
	gate  chan struct{}
}

func (e *readCounter) Read(ctx context.Context, query Query) (Stretch, error) {
	if query.Limit > 1 {
		e.pages.Add(1)
		<-e.gate
	}
	return e.Engine.Read(ctx, query)
}

// TestAbandonedReplaysDoNotRead: who asks again and again does not have everything read
// again and again.
func TestAbandonedReplaysDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPubSub(t)
		engine := &readCounter{Engine: p.engine, gate: make(chan struct{})}
		p.reader.engine = engine
		conn := &valve{}
		conn.open(1 << 20)
		c, err := p.AddClient(t.Context(), models.Caller{}, conn, models.Connection{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.RemoveClient(c, models.CloseAbnormal)
		if _, err := p.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		options := models.SubscribeOptions{Start: models.Start{All: true}}
		for range 200 {
			if err := p.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, options, models.Ack{}); err != nil {
				t.Fatal(err)
			}
		}
		close(engine.gate)
		time.Sleep(time.Second) // of the bubble's clock: everything comes to rest
		synctest.Wait()
		if pages := int(engine.pages.Load()); pages == 0 || pages > cap(p.reader.slots)+1 {
			t.Errorf("%d pages were read", pages)
		}
	})
}

// TestShortReplaysDoNotQueue: where many come back at the same time, each with little to read, none of them waits for the rests
// that are there for long reads.
func TestShortReplaysDoNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startPubSub(t)
		if _, err := p.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		const clients = 1000
		begin := time.Now() // of the bubble's clock
		for range clients {
			conn := &valve{}
			conn.open(1 << 20)
			c, err := p.AddClient(t.Context(), models.Caller{}, conn, models.Connection{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.RemoveClient(c, models.CloseAbnormal)
			options := models.SubscribeOptions{Start: models.Start{All: true}}
			if err := p.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, options, models.Ack{}); err != nil {
				t.Fatal(err)
			}
		}
		for p.Stats().Replays > 0 {
			time.Sleep(readRest)
			synctest.Wait()
		}
		if took, rests := time.Since(begin), clients*readRest/time.Duration(cap(p.reader.slots)); took > rests/10 {
			t.Errorf("it took %v; to rest after each takes %v", took, rests)
		}
	})
}

// positions notes what heartbeats say.
type positions struct {
	shortFormat
	at *[]models.ID
}

func (p positions) Heartbeat(id models.ID) []byte {
	*p.at = append(*p.at, id)
	return []byte("ping\n")
}

// TestHeartbeatIsNotBehindTheAck: a cursor never moves back.
func TestHeartbeatIsNotBehindTheAck(t *testing.T) {
	budget := newBudget(1<<30, time.Minute)
	s := newShard(0, budget, nil, 1<<20, time.Minute)
	d := newDispatcher(budget, []*shard{s}, 10)
	d.following = newFollowing(nil, nil)
	d.following.add(1) // so that it never ends
	d.begin(models.ID{Epoch: "e"})
	var told []models.ID
	conn := &countingConn{format: positions{at: &told}}
	conn.open(1 << 30)
	c, err := newClient([]*shard{s}, new(models.Caller), conn, models.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	s.add(c, models.NewPong(nil))
	s.seen = models.ID{Epoch: "e", Sequence: 90}
	nobodys := Batch{Messages: []*models.Message{{ID: models.ID{Epoch: "e", Sequence: 100}, Topic: "x"}}}
	if err := d.Admit(t.Context(), nobodys); err != nil {
		t.Fatal(err)
	}
	d.Deliver(nobodys)
	var ack models.ID
	if _, err := d.subscribe(c, []models.Pattern{"x"}, false, func(s *shard, subs []*subscription, position models.ID) {
		s.list(c, subs, models.SubscribeOptions{})
		ack = position
	}); err != nil {
		t.Fatal(err)
	}
	s.applyAll(s.queue.take(nil))
	c.beat.seen = true
	for range s.heartbeat.slots {
		s.beat()
	}
	if len(told) == 0 {
		t.Fatal("there was no heartbeat")
	}
	for _, id := range told {
		if id.Sequence != 0 && id.Sequence < ack.Sequence {
			t.Errorf("the ack said %v, the heartbeat %v", ack, id)
		}
	}
}

// TestPurgeWhileShuttingDown: it is new work, too.
func TestPurgeWhileShuttingDown(t *testing.T) {
	p := startPubSub(t)
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	if err := p.Purge(t.Context(), models.Caller{}, "a"); models.AsError(err).Code != models.CodeShuttingDown {
		t.Errorf("%v", err)
	}
}
