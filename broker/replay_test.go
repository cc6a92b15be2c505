package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// subscribeFrom subscribes a client to patterns from a place in the log on.
func (s *service) subscribeFrom(start models.Start, c *broker.Client, patterns ...models.Pattern) {
	s.t.Helper()
	ack := models.Ack{Type: "ack"}
	for _, p := range patterns {
		ack.Topics = append(ack.Topics, string(p))
	}
	if err := s.Subscribe(s.t.Context(), models.Caller{}, c, patterns, models.SubscribeOptions{Start: start}, ack); err != nil {
		s.t.Fatal(err)
	}
}

// comer connects a client that has taken its welcome and is subscribed to nothing.
func (s *service) comer() (*broker.Client, *pipe) {
	s.t.Helper()
	conn := newPipe(s.t)
	c := s.connect(conn)
	conn.want("welcome")
	return c, conn
}

// everything begins with the oldest message.
func everything() models.Start { return models.Start{All: true} }

// since begins after a message.
func since(r models.Receipt) models.Start { return models.Start{Since: r.ID} }

// publishTo publishes a message to each of the topics.
func (s *service) publishTo(topics ...models.Topic) (receipts []models.Receipt) {
	s.t.Helper()
	for _, topic := range topics {
		receipts = append(receipts, s.publish(topic, "1"))
	}
	return receipts
}

// wantMessages takes the next frames, which are these messages.
func (p *pipe) wantMessages(receipts ...models.Receipt) {
	p.t.Helper()
	for i, r := range receipts {
		if m := p.want("message"); m.ID != r.ID {
			p.t.Fatalf("message %d of %d is %v, want %v", i, len(receipts), m.ID, r.ID)
		}
	}
}

// wantGap takes the next frame, which tells of a gap in a pattern.
func (p *pipe) wantGap(pattern models.Pattern) {
	p.t.Helper()
	if n := p.want("notice"); n.Code != "gap" || n.Topic != string(pattern) {
		p.t.Fatalf("notice %+v, want a gap in %s", n, pattern)
	}
}

// wantCaughtUp takes the next frame, which ends the replay of patterns at a message.
func (p *pipe) wantCaughtUp(at models.Receipt, patterns ...string) {
	p.t.Helper()
	l := p.want("caught_up")
	if diff := cmp.Diff(patterns, l.Topics); diff != "" || l.ID != at.ID {
		p.t.Fatalf("caught up at %v, want %v (-want +got):\n%s", l.ID, at.ID, diff)
	}
}

// wantAck takes the next frame, which is an ack.
func (p *pipe) wantAck(id models.ID, recovered string) {
	p.t.Helper()
	if ack := p.want("ack"); ack.ID != id || ack.recovered() != recovered {
		p.t.Fatalf("ack of %v, recovered: %q; want %v, %q", ack.ID, ack.recovered(), id, recovered)
	}
}

// stickAt makes the pipe stuck when it is written to for the nth time.
func (p *pipe) stickAt(n int) {
	p.set(func(p *pipe) {
		p.writing = func() {
			if n--; n == 0 {
				p.stick()
			}
		}
	})
}

// recovered is what an ack says of it, or nothing.
func (l line) recovered() string {
	if l.Recovered == nil {
		return ""
	}
	return fmt.Sprint(*l.Recovered)
}

// small retains three messages a topic.
func small() broker.History {
	history := enginetest.Generous()
	history.MaxMessagesPerTopic = 3
	return history
}

// TestReplayThenLive: what is retained, the end of it, and what comes then.
func TestReplayThenLive(t *testing.T) {
	const epoch = "EPOCH" // stands for that of the log
	at := func(sequence uint64) models.ID { return models.ID{Epoch: epoch, Sequence: sequence} }
	type result struct {
		Ack           models.ID
		Recovered     string
		Replay, After []int
	}
	cases := map[string]struct {
		start    models.Start
		patterns []models.Pattern
		want     result
	}{
		"everything":          {everything(), []models.Pattern{"a"}, result{at(0), "true", []int{1, 3, 5}, []int{9}}},
		"since a message":     {models.Start{Since: at(1)}, []models.Pattern{"a"}, result{at(1), "true", []int{3, 5}, []int{9}}},
		"since another's":     {models.Start{Since: at(2)}, []models.Pattern{"a"}, result{at(2), "true", []int{3, 5}, []int{9}}},
		"since the beginning": {models.Start{Since: at(0)}, []models.Pattern{"c"}, result{at(0), "true", []int{4}, []int{7}}},
		"since the end":       {models.Start{Since: at(5)}, []models.Pattern{"a"}, result{at(5), "true", nil, []int{9}}},
		"merged in order":     {everything(), []models.Pattern{"c", "b", "a"}, result{at(0), "true", []int{1, 2, 3, 4, 5}, []int{7, 8, 9}}},
		"overlapping":         {everything(), []models.Pattern{"*", "a", ">"}, result{at(0), "true", []int{1, 2, 3, 4, 5}, []int{6, 7, 8, 9}}},
		"the last":            {models.Start{Last: 1}, []models.Pattern{"a"}, result{at(4), "", []int{5}, []int{9}}},
		"the last of several": {models.Start{Last: 3}, []models.Pattern{"c", "a", "b"}, result{at(2), "", []int{3, 4, 5}, []int{7, 8, 9}}},
		"all of the last":     {models.Start{Last: 99}, []models.Pattern{"c", "a"}, result{at(0), "", []int{1, 3, 4, 5}, []int{7, 9}}},
		"the last of nothing": {models.Start{Last: 1}, []models.Pattern{"d"}, result{at(5), "", nil, []int{6}}},
		"another log":         {models.Start{Since: models.ID{Epoch: "other", Sequence: 3}}, []models.Pattern{"a"}, result{at(0), "false", []int{1, 3, 5}, []int{9}}},
		"the future":          {models.Start{Since: at(6)}, []models.Pattern{"b"}, result{at(0), "false", []int{2}, []int{8}}},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t, defaults())
			past := s.publishTo("a", "b", "a", "c", "a")
			if tt.start.Since.Epoch == epoch {
				tt.start.Since.Epoch = past[0].ID.Epoch
			}
			c, conn := s.comer()
			s.subscribeFrom(tt.start, c, tt.patterns...)
			ack := conn.want("ack")
			got := result{Ack: models.ID{Epoch: epoch, Sequence: ack.ID.Sequence}, Recovered: ack.recovered()}
			sequences := func(last string) (sequences []int) {
				for l := conn.next(); l.Type != last; l = conn.next() {
					sequences = append(sequences, int(l.ID.Sequence)) //nolint:gosec // a small number
				}
				return sequences
			}
			got.Replay = sequences("caught_up")
			s.publishTo("d", "c", "b", "a")
			if err := s.Send(t.Context(), c, models.NewPong(nil)); err != nil {
				t.Fatal(err)
			}
			got.After = sequences("pong")
			if diff := cmp.Diff(tt.want, got); diff != "" || ack.ID.Epoch != past[0].ID.Epoch {
				t.Errorf("epoch %s (-want +got):\n%s", ack.ID.Epoch, diff)
			}
		})
	}
}

// TestSeamIsExact: while others publish, clients come with any cursor. What they get is
// what the log has after it, once and in order: first the replay, then what is live.
func TestSeamIsExact(t *testing.T) {
	const each, waves, comers = 250, 10, 4
	engines := map[string]func() broker.Engine{
		"memory": func() broker.Engine { return broker.NewMemory(enginetest.Generous()) },
		"unruly": func() broker.Engine { return enginetest.NewUnruly(11, enginetest.Generous()) },
	}
	for name, newEngine := range engines {
		t.Run(name, func(t *testing.T) {
			engine := newEngine()
			options := defaults()
			options.InFlightSize = 64 << 10
			s := startOver(t, engine, options)
			_, watch := s.join("t.*")
			var publishing, arriving, coming sync.WaitGroup
			for p := range publishers {
				publishing.Go(func() {
					for n := range each {
						s.publish(models.Topic(fmt.Sprintf("t.%d", n%topics)), fmt.Sprintf(`"%d-%d"`, p, n))
					}
				})
			}
			stays := make([]stay, waves*comers)
			for i := range stays {
				if i%comers == 0 {
					for range publishers * each / waves {
						watch.want("message")
					}
				}
				arriving.Add(1)
				coming.Go(func() { stays[i] = s.come(i, arriving.Done) })
			}
			publishing.Wait()
			arriving.Wait()
			s.publish("t.1", `"end"`)
			coming.Wait()
			end, err := engine.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			log := readAll(t, engine, models.ID{Epoch: end.Epoch}, end)
			for i, st := range stays {
				if err := st.check(log); err != nil {
					t.Errorf("comer %d: %v", i, err)
				}
			}
		})
	}
}

// come is a client that comes back, says that it has, and listens up to the end.
func (s *service) come(i int, arrived func()) stay {
	c, conn := s.comer()
	defer s.RemoveClient(c, models.CloseAbnormal)
	st := stay{pattern: []models.Pattern{"t.1", "t.*"}[i%2]}
	s.subscribe(c, "nothing")
	position := conn.want("ack").ID
	position.Sequence -= min(position.Sequence, uint64(i)*20) //nolint:gosec // not negative
	s.subscribeFrom(models.Start{Since: position}, c, st.pattern)
	conn.wantAck(position, "true")
	arrived()
	st.from = position
	for live := false; ; {
		switch l := conn.next(); {
		case l.Type == "caught_up" && !live:
			live = true
		case l.Type != "message":
			s.t.Errorf("frame %+v", l)
			return st
		default:
			st.got = append(st.got, l.ID)
			if l.Data == "end" {
				st.to = l.ID
				if !live {
					conn.want("caught_up")
				}
				return st
			}
		}
	}
}

// TestHonestRecovery: recovered is false if something that matches was removed after the
// cursor, and only then. What is left after the cursor comes; what lies before it the
// client has had.
func TestHonestRecovery(t *testing.T) {
	cases := map[string]struct {
		// topics are published to, purged is purged then.
		topics    []models.Topic
		purged    models.Topic
		since     int
		patterns  []models.Pattern
		recovered string
		replay    []int
	}{
		"evicted":                            {[]models.Topic{"a", "a", "a", "a", "a"}, "", 0, []models.Pattern{"a"}, "false", []int{2, 3, 4}},
		"nothing evicted after it":           {[]models.Topic{"a", "a", "a", "a", "a"}, "", 1, []models.Pattern{"a"}, "true", []int{2, 3, 4}},
		"evicted of another topic":           {[]models.Topic{"b", "a", "a", "a", "a", "b"}, "", 0, []models.Pattern{"b"}, "true", []int{5}},
		"evicted of one of several":          {[]models.Topic{"b", "a", "a", "a", "a", "b"}, "", 0, []models.Pattern{"b", "a"}, "false", []int{2, 3, 4, 5}},
		"older of another topic are no news": {[]models.Topic{"b", "b", "a", "a", "a", "a", "a"}, "", 2, []models.Pattern{">"}, "false", []int{4, 5, 6}},
		"purged":                             {[]models.Topic{"a", "b", "a"}, "a", 0, []models.Pattern{"a"}, "false", nil},
		"purged up to it":                    {[]models.Topic{"a", "b", "a"}, "a", 2, []models.Pattern{"a"}, "true", nil},
		"purged of a pattern":                {[]models.Topic{"a", "b", "a"}, "a", 0, []models.Pattern{"*"}, "false", []int{1}},
		"purged of another topic":            {[]models.Topic{"a", "b", "a"}, "a", 0, []models.Pattern{"b"}, "true", []int{1}},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			s := startOver(t, broker.NewMemory(small()), defaults())
			past := s.publishTo(tt.topics...)
			if tt.purged != "" {
				if err := s.Purge(t.Context(), models.Caller{}, tt.purged); err != nil {
					t.Fatal(err)
				}
			}
			c, conn := s.comer()
			s.subscribeFrom(since(past[tt.since]), c, tt.patterns...)
			conn.wantAck(past[tt.since].ID, tt.recovered)
			for _, i := range tt.replay {
				conn.wantMessages(past[i])
			}
			conn.want("caught_up")
		})
	}
}

// pagedEngine reads a few messages at a time, and tells of each read before it.
type pagedEngine struct {
	broker.Engine
	page    int
	reading func()
}

func (e pagedEngine) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	if e.reading != nil {
		e.reading()
	}
	query.Limit = min(query.Limit, e.page)
	return e.Engine.Read(ctx, query)
}

// TestGapInAReplay: what is removed before a running replay comes to it is told of before
// the next message, once.
func TestGapInAReplay(t *testing.T) {
	cases := map[string]func(s *service) []models.Receipt{
		"eviction": func(s *service) []models.Receipt { return s.publishTo("a", "a") },
		"purge": func(s *service) []models.Receipt {
			if err := s.Purge(s.t.Context(), models.Caller{}, "a"); err != nil {
				s.t.Fatal(err)
			}
			return nil
		},
		"purge, and more": func(s *service) []models.Receipt {
			if err := s.Purge(s.t.Context(), models.Caller{}, "a"); err != nil {
				s.t.Fatal(err)
			}
			return s.publishTo("a", "a", "a", "a")
		},
	}
	for name, remove := range cases {
		t.Run(name, func(t *testing.T) {
			var reads atomic.Int64
			third, removed := make(chan struct{}), make(chan struct{})
			engine := pagedEngine{Engine: broker.NewMemory(small()), page: 1, reading: func() {
				// The first is for the place to begin at, and two for the first two messages.
				if reads.Add(1) == 4 {
					close(third)
					<-removed
				}
			}}
			s := startOver(t, engine, defaults())
			past := s.publishTo("b", "a", "b", "a", "b", "a")
			c, conn := s.comer()
			s.subscribeFrom(everything(), c, "*")
			conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, "true")
			<-third
			live := remove(s)
			close(removed)
			conn.wantMessages(past[:2]...)
			conn.wantGap("*")
			conn.wantMessages(past[2])
			if name == "eviction" {
				conn.wantMessages(past[4], past[5])
			} else {
				conn.wantMessages(past[4])
			}
			conn.wantMessages(live...)
			conn.want("caught_up")
		})
	}
}

// TestOldLossesHideNoNewOne: what was lost before a replay began, further on, takes nothing
// away from what is lost before the replay comes to it.
func TestOldLossesHideNoNewOne(t *testing.T) {
	for name, c := range map[string]struct {
		start     models.Start
		recovered string
	}{
		"last":         {models.Start{Last: 2}, ""},
		"another log":  {models.Start{Since: models.ID{Epoch: "other", Sequence: 7}}, "false"},
		"not complete": {everything(), "false"},
	} {
		t.Run(name, func(t *testing.T) {
			var reads atomic.Int64
			second, removed := make(chan struct{}), make(chan struct{})
			engine := pagedEngine{Engine: broker.NewMemory(small()), page: 1, reading: func() {
				// The first is for the place to begin at, and one for the first message.
				if reads.Add(1) == 3 {
					close(second)
					<-removed
				}
			}}
			s := startOver(t, engine, defaults())
			purge := func(topic models.Topic) {
				if err := s.Purge(t.Context(), models.Caller{}, topic); err != nil {
					t.Fatal(err)
				}
			}
			past := s.publishTo("b", "b", "a")
			purge("a")
			client, conn := s.comer()
			s.subscribeFrom(c.start, client, "*")
			conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, c.recovered)
			<-second
			purge("b")
			close(removed)
			conn.wantMessages(past[0])
			conn.wantGap("*")
			conn.want("caught_up")
		})
	}
}

// TestGapComesWhereItIs: when the node hears of a loss during a replay, that is told
// behind what lies before it and before what comes after it, be it replayed or live.
func TestGapComesWhereItIs(t *testing.T) {
	for name, topic := range map[string]models.Topic{"before a message": "a", "before what is live": "b"} {
		t.Run(name, func(t *testing.T) {
			engine := enginetest.NewUnruly(1, enginetest.Generous())
			s := startOver(t, engine, defaults())
			_, watch := s.join(">")
			past := s.publishTo("a", "b", "a")
			watch.wantMessages(past...)

			c, conn := s.comer()
			conn.stick()
			s.subscribeFrom(everything(), c, "a")
			engine.Lose()
			next := s.publish(topic, "1")
			watch.wantGap(">")
			watch.wantMessages(next)
			s.settle(c)

			conn.open()
			conn.want("ack")
			conn.want("pong")
			conn.want("pong")
			conn.wantMessages(past[0], past[2])
			conn.wantGap("a")
			if topic == "a" {
				conn.wantMessages(next)
			}
			conn.want("caught_up")
		})
	}
}

// TestReplayOutlivesItsLog: when the log begins anew during a replay, the rest of the old
// one is told to be missing, and all of the new one comes, also if there was no room to
// hold it back.
func TestReplayOutlivesItsLog(t *testing.T) {
	engine := enginetest.NewUnruly(2, enginetest.Generous())
	s := startOver(t, engine, defaults())
	_, watch := s.join(">")
	past := s.publishTo("a", "a", "a")
	watch.wantMessages(past...)
	c, conn := s.comer()
	conn.stick()
	s.subscribeFrom(since(past[0]), c, "a")
	if err := engine.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	var fresh []models.Receipt
	for range 5 {
		fresh = append(fresh, s.publish("a", `"`+strings.Repeat("x", 100_000)+`"`))
	}
	watch.wantGap(">")
	watch.wantMessages(fresh...)
	s.settle(c)
	conn.open()
	conn.wantAck(past[0].ID, "true")
	conn.want("pong")
	conn.want("pong")
	conn.wantGap("a")
	conn.wantMessages(fresh...)
	conn.wantCaughtUp(fresh[4], "a")
}

// TestSlowReplay: a client that takes little stays in its replay, however long it is. It
// is not closed, and no more than a part waits in its outbox; others have what is live
// meanwhile.
func TestSlowReplay(t *testing.T) {
	const count, most = 100_000, 64<<10 + 4096
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one shard for all
	options := defaults()
	options.OutboxSize = 256 << 10
	s := start(t, options)
	for range count {
		s.publish("a", "1")
	}
	_, other := s.join("live")
	c, conn := s.comer()
	conn.stick()
	s.subscribeFrom(everything(), c, "a")
	conn.narrow = 5000
	last, live := uint64(0), 0
	conn.open()
	conn.want("ack")
	for last < count {
		m := conn.want("message")
		if m.ID.Sequence != last+1 {
			t.Fatalf("%v after %d", m.ID, last)
		}
		last = m.ID.Sequence
		if queued := c.Info().QueuedBytes; queued > most {
			t.Fatalf("%d bytes wait", queued)
		}
		if last%10_000 == 0 {
			conn.stick()
			other.wantMessages(s.publish("live", "1"))
			live++
			other.wantMessages(s.publish("live", "1"))
			conn.open()
		}
	}
	conn.want("caught_up")
	if live == 0 || conn.closed != 0 {
		t.Errorf("%d live messages; closed for %v", live, conn.closed)
	}
}

// TestReplayStarvesNobody: a client that takes a long replay as fast as it comes gets it
// in rounds, and what is live for others does not wait for it.
func TestReplayStarvesNobody(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one shard for all
	s := start(t, defaults())
	const count = 1000
	data := `"` + strings.Repeat("x", 10_000) + `"`
	for range count {
		s.publish("much", data)
	}
	_, other := s.join("little")
	c, conn := s.comer()
	writes, published, came := 0, 0, 0
	conn.set(func(p *pipe) {
		p.writing = func() {
			if writes++; writes == 20 {
				published = writes
				s.publish("little", "1")
			}
		}
	})
	other.set(func(p *pipe) { p.writing = func() { came = writes } })
	s.subscribeFrom(everything(), c, "much")
	other.want("message")
	conn.want("ack")
	for range count {
		conn.want("message")
	}
	conn.want("caught_up")
	// Some 16 KiB go out in a round, which is one write or two.
	if published != 20 || came == 0 || came > published+4 {
		t.Errorf("published after %d writes, it came after %d of %d", published, came, writes)
	}
}

// TestReplaysOfAClient run one after the other, and what is live comes beside them.
func TestReplaysOfAClient(t *testing.T) {
	s := startOver(t, pagedEngine{Engine: broker.NewMemory(enginetest.Generous()), page: 1}, defaults())
	past := s.publishTo("a", "b", "a", "b")
	c, conn := s.comer()
	conn.stickAt(2)
	s.subscribeFrom(everything(), c, "a")
	conn.awaitStuck()
	s.subscribeFrom(since(past[1]), c, "b", "*")
	s.subscribe(c, "c")
	live := s.publishTo("c", "a")
	s.settle(c)
	conn.open()
	conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, "true")
	conn.wantMessages(past[0])
	conn.wantAck(past[1].ID, "true")
	conn.wantAck(past[3].ID, "")
	conn.wantMessages(live[0])
	conn.want("pong")
	conn.want("pong")
	conn.wantMessages(past[2], live[1])
	conn.wantCaughtUp(live[1], "a")
	conn.wantMessages(past[2], past[3], live[0], live[1])
	conn.wantCaughtUp(live[1], "b", "*")
	conn.wantMessages(s.publishTo("a", "b", "c")...)
}

// TestUnsubscribeEndsAReplay: behind the ack nothing comes of that pattern, be it read
// already, and of the others in the replay everything does.
func TestUnsubscribeEndsAReplay(t *testing.T) {
	s := start(t, defaults())
	var past []models.Receipt
	for i := range 6 { // two of them are fed in a round
		past = append(past, s.publish([]models.Topic{"a", "b"}[i%2], `"`+strings.Repeat("x", 10_000)+`"`))
	}
	c, conn := s.comer()
	conn.stickAt(2)
	s.subscribeFrom(everything(), c, "a", "b")
	conn.awaitStuck()
	s.subscribeFrom(everything(), c, "*")
	s.unsubscribe(c, "a")
	live := s.publishTo("a", "b")
	s.settle(c)
	conn.open()
	conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, "true")
	conn.wantMessages(past[:2]...)
	conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, "true")
	conn.wantAck(past[5].ID, "")
	conn.want("pong")
	conn.want("pong")
	for _, r := range slices.Concat(past[2:], live) {
		if r.Topic == "b" {
			conn.wantMessages(r)
		}
	}
	conn.wantCaughtUp(live[1], "a", "b")
	conn.wantMessages(past...)
	conn.wantMessages(live...)
	conn.wantCaughtUp(live[1], "*")

	// A replay of which nothing is left ends without a word.
	conn.stick()
	s.subscribeFrom(everything(), c, "c")
	s.unsubscribe(c, "c")
	conn.open()
	conn.wantAck(models.ID{Epoch: past[0].ID.Epoch}, "true")
	conn.wantAck(live[1].ID, "")
	conn.wantMessages(s.publishTo("b")...)
}

// TestSubscribingAgainReplays: it takes the pattern out of what is live, or out of the
// replay that it waits in; without a start everything goes on.
func TestSubscribingAgainReplays(t *testing.T) {
	s := startOver(t, pagedEngine{Engine: broker.NewMemory(enginetest.Generous()), page: 1}, defaults())
	past := s.publishTo("a", "b", "a", "b")
	c, conn := s.comer()
	s.subscribe(c, "a")
	conn.want("ack")
	live := s.publishTo("a")
	conn.wantMessages(live...)

	conn.stickAt(2)
	s.subscribeFrom(since(past[1]), c, "a", "b")
	conn.awaitStuck()
	s.subscribe(c, "a")
	s.subscribeFrom(since(past[0]), c, "b")
	live = append(live, s.publishTo("b", "a")...)
	s.settle(c)
	conn.open()
	conn.wantAck(past[1].ID, "true")
	conn.wantMessages(past[2])
	conn.wantAck(live[0].ID, "")
	conn.wantAck(past[0].ID, "true")
	conn.want("pong")
	conn.want("pong")
	conn.wantMessages(live[0], live[2])
	conn.wantCaughtUp(live[2], "a", "b") // b is in another one now
	conn.wantMessages(past[1], past[3], live[1])
	conn.wantCaughtUp(live[1], "b")
	conn.wantMessages(s.publishTo("a", "b")...)
}

// TestReplayWaitsForTheEngine: one that finds it away goes on when it is back.
func TestReplayWaitsForTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.NewUnruly(3, enginetest.Generous())
		var reads atomic.Int64
		s := startOver(t, pagedEngine{Engine: engine, page: 1, reading: func() { reads.Add(1) }}, defaults())
		past := s.publishTo("a", "a", "a")
		synctest.Wait()
		c, conn := s.comer()
		conn.stick()
		s.subscribeFrom(everything(), c, "a")
		engine.GoAway()
		conn.open()
		conn.want("ack")
		before := reads.Load()
		time.Sleep(10 * time.Second)
		if tried := reads.Load() - before; tried < 10 || tried > 100 {
			t.Errorf("%d tries in 10 seconds", tried)
		}
		engine.ComeBack()
		conn.wantMessages(past...)
		conn.wantCaughtUp(past[2], "a")
		conn.wantMessages(s.publishTo("a")...)
	})
}

// TestRemovedClientReadsNothing: a replay ends with its client, and so does what reads
// for it.
func TestRemovedClientReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.NewUnruly(4, enginetest.Generous())
		var reads atomic.Int64
		s := startOver(t, pagedEngine{Engine: engine, page: 1, reading: func() { reads.Add(1) }}, defaults())
		s.publishTo("a", "a", "a")
		synctest.Wait()
		var clients []*broker.Client
		for range 20 { // more than read at a time
			c, conn := s.comer()
			conn.stick()
			s.subscribeFrom(everything(), c, "a")
			clients = append(clients, c)
			defer conn.open()
		}
		engine.GoAway()
		for i, c := range clients {
			if i%2 == 0 {
				s.RemoveClient(c, models.CloseAbnormal)
			} else if err := s.Disconnect(t.Context(), models.Caller{}, c.ID(), models.CloseDisconnected); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		before := reads.Load()
		time.Sleep(minute)
		if more := reads.Load() - before; more > 0 {
			t.Errorf("%d reads for nobody", more)
		}
		engine.ComeBack()
	})
}

// TestCloseEndsReplays: the shutdown does not wait for a log that is away.
func TestCloseEndsReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := enginetest.NewUnruly(5, enginetest.Generous())
		p, err := broker.New(t.Context(), engine, defaults())
		if err != nil {
			t.Fatal(err)
		}
		s := &service{p, t}
		s.publishTo("a")
		synctest.Wait()
		c, conn := s.comer()
		conn.stick()
		s.subscribeFrom(everything(), c, "a")
		engine.GoAway()
		conn.open()
		conn.want("ack")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), minute)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		conn.want("close")
	})
}

// TestFailedReplayLeavesNothing: who cannot be told where the replay begins is not
// subscribed, or is as before.
func TestFailedReplayLeavesNothing(t *testing.T) {
	engine := enginetest.NewUnruly(6, enginetest.Generous())
	s := startOver(t, engine, defaults())
	c, conn := s.join("b")
	engine.GoAway()
	for _, start := range []models.Start{everything(), {Last: 1}, {Since: models.ID{Epoch: "other", Sequence: 1}}} {
		options := models.SubscribeOptions{Start: start, Overflow: models.OverflowLatest}
		err := s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a", "b"}, options, models.Ack{Type: "ack"})
		if models.AsError(err).Code != models.CodeEngineUnavailable {
			t.Errorf("%+v: %v", start, err)
		}
	}
	if diff := cmp.Diff([]models.Pattern{"b"}, c.Info().Subscriptions); diff != "" {
		t.Errorf("subscriptions (-want +got):\n%s", diff)
	}
	engine.ComeBack()
	s.publish("a", "1")
	conn.wantMessages(s.publish("b", "1"))
}

// lateSink holds back what an engine delivers.
type lateSink struct {
	broker.Sink
	late chan struct{}
}

func (s lateSink) Deliver(batch broker.Batch) int {
	s.late <- struct{}{}
	defer s.release()
	return s.Sink.Deliver(batch)
}

// release takes something out of late. Close may have done so already, for want of knowing whose it is.
func (s lateSink) release() {
	select {
	case <-s.late:
	default:
	}
}

// lateEngine delivers nothing while there is something in late.
type lateEngine struct {
	*enginetest.Unruly
	late chan struct{}
}

func newLateEngine(seed uint64) lateEngine {
	return lateEngine{enginetest.NewUnruly(seed, enginetest.Generous()), make(chan struct{}, 1)}
}

func (e lateEngine) Start(ctx context.Context, sink broker.Sink) error {
	return e.Unruly.Start(ctx, lateSink{sink, e.late})
}

// Close ends a test that failed while it was late.
func (e lateEngine) Close() error {
	lateSink{late: e.late}.release()
	return e.Unruly.Close()
}

// TestReplayBeginsAtWhatWasDelivered: no ack is ahead of what the node has heard of, or
// its id, which moves the cursors of all subscriptions that are live, would skip what is
// on its way to them.
func TestReplayBeginsAtWhatWasDelivered(t *testing.T) {
	t.Run("this log", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			engine := newLateEngine(7)
			s := startOver(t, engine, defaults())
			c, conn := s.join("a")
			past := s.publishTo("a")
			conn.wantMessages(past...)
			engine.late <- struct{}{}
			past = append(past, s.publishTo("a", "b", "b")...)
			time.AfterFunc(time.Second, func() { <-engine.late })
			s.subscribeFrom(since(past[2]), c, "b")
			conn.wantMessages(past[1])
			conn.wantAck(past[2].ID, "true")
		})
	})
	t.Run("a new log", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			engine := newLateEngine(8)
			s := startOver(t, engine, defaults())
			c, conn := s.join("a")
			past := s.publishTo("a")
			conn.wantMessages(past...)
			engine.late <- struct{}{}
			past = append(past, s.publishTo("a")...)
			if err := engine.Forget(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.subscribeFrom(models.Start{Since: models.ID{Epoch: "other", Sequence: 3}}, c, "b")
			conn.wantAck(past[0].ID, "false")
			conn.wantCaughtUp(past[0], "b")
			<-engine.late
			fresh := s.publishTo("b", "a")
			conn.wantMessages(past[1])
			told := map[string]bool{conn.want("notice").Topic: true, conn.want("notice").Topic: true}
			if !told["a"] || !told["b"] {
				t.Errorf("told of %v", told)
			}
			conn.wantMessages(fresh...)
		})
	})
}

// TestLateDeliveryIsNotAwaitedForEver: a cursor that the node never hears of is an error.
func TestLateDeliveryIsNotAwaitedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := newLateEngine(9)
		s := startOver(t, engine, defaults())
		c, _ := s.join("b")
		engine.late <- struct{}{}
		defer func() { <-engine.late }()
		last := s.publish("a", "1")
		begin := time.Now()
		err := s.Subscribe(t.Context(), models.Caller{}, c, []models.Pattern{"a"}, models.SubscribeOptions{Start: since(last)}, models.Ack{Type: "ack"})
		if e := models.AsError(err); e.Code != models.CodeEngineUnavailable || e.RetryAfter == 0 || time.Since(begin) != minute {
			t.Errorf("after %v: %+v", time.Since(begin), e)
		}
	})
}

// TestPositions: with the heartbeat, who is quiet is told how far the log has gone, and
// the id is a cursor from which nothing is missing.
func TestPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startOver(t, broker.NewMemory(small()), defaults())
		s.publishTo("a", "b")
		c, conn := s.join("a")
		_, listless := s.comer()
		if l := conn.next(); l.Type == "position" { // where the ack was, too
			conn.want("ping")
		}
		listless.want("ping")

		// The log goes on for others, so much that the cursor would be evicted.
		others := s.publishTo("b", "b", "b", "b", "b")
		if p := conn.want("position"); p.ID != others[4].ID {
			t.Errorf("position %v, want %v", p.ID, others[4].ID)
		}
		conn.want("ping")
		// It does not go on.
		conn.want("ping")
		// It goes on with a message for this client.
		mine := s.publishTo("a", "b")
		conn.wantMessages(mine[0])
		conn.want("ping")
		// The client is in a replay.
		conn.stick()
		s.subscribeFrom(everything(), c, "c")
		s.publishTo("b")
		time.Sleep(minute)
		conn.open()
		conn.want("ack")
		conn.want("ping")
		conn.want("caught_up")
		more := s.publishTo("b")
		position := conn.want("position")
		if position.ID != more[0].ID {
			t.Errorf("position %v, want %v", position.ID, more[0].ID)
		}
		// Who is subscribed to nothing has no cursor.
		for range 5 {
			listless.want("ping")
		}

		c, conn = s.comer()
		s.subscribeFrom(models.Start{Since: position.ID}, c, ">")
		conn.wantAck(position.ID, "true")
		conn.want("caught_up")
	})
}
