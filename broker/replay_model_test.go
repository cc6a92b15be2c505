package broker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// TestHistories lives through random histories: topics that retain little, publishers,
// purges, and listeners who come and go on all kinds of connections, with all kinds of
// cursors, and resume by the rules of the protocol. An oracle that knows the log says for
// each of them that what it got is exactly what it was due, or that it was told what is
// missing; and that it was not told so without cause.
//
// FANFARE_HISTORIES is how many, and FANFARE_SEED the seed of the first one; that of each
// other is one more. Histories whose publishers run beside everything else may differ from
// run to run all the same.
func TestHistories(t *testing.T) {
	count, seed := 3000, rand.Uint64N(1<<48) //nolint:gosec // a test's chance
	if text := os.Getenv("FANFARE_HISTORIES"); text != "" {
		count, _ = strconv.Atoi(text)
	}
	if text := os.Getenv("FANFARE_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("FANFARE_SEED=%d", seed)
	var tally tally
	var mu sync.Mutex
	t.Run("all", func(t *testing.T) {
		var next atomic.Uint64
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1) - 1; n < uint64(count) && !t.Failed(); n = next.Add(1) - 1 { //nolint:gosec // not negative
					synctest.Test(t, func(t *testing.T) {
						h := newHistory(t, seed+n, nil)
						h.run()
						mu.Lock()
						defer mu.Unlock()
						tally.add(h.oracle.tally)
					})
				}
			})
		}
	})
	t.Logf("%+v", tally)
	if missing := tally.missing(); count >= 1000 && len(missing) > 0 {
		t.Errorf("the histories have no %s", strings.Join(missing, ", "))
	}
	if count >= 1000 && tally.excused*100 > tally.gaps {
		t.Errorf("%d of %d gaps had no cause", tally.excused, tally.gaps)
	}
}

// TestEmbeddedHistories is TestHistories with the log in a NATS server of this process, in real time.
// FANFARE_REAL_HISTORIES is how many.
func TestEmbeddedHistories(t *testing.T) {
	runReal(t, 60, func(t *testing.T, history broker.History, _ uint64) broker.Engine {
		return openNATS(t, natsengine.Options{History: history, StoreDir: t.TempDir(), Stream: "S", Prefix: "p", Replicas: 1})
	})
}

// TestClusteredHistories is TestHistories with the log on a cluster of three NATS servers, in real time.
func TestClusteredHistories(t *testing.T) {
	cluster := natstest.Start(t, 3)
	runReal(t, 20, func(t *testing.T, history broker.History, seed uint64) broker.Engine {
		history.MaxBytes = min(history.MaxBytes, 10<<20) // it is set aside
		name := fmt.Sprint("S", seed)
		return openNATS(t, natsengine.Options{History: history, URLs: cluster.URLs(), Stream: name, Prefix: "p" + name, Replicas: 3})
	})
}

func openNATS(t *testing.T, options natsengine.Options) broker.Engine {
	t.Helper()
	options.MessageSize, options.PublishWait = 1<<20, minute
	options.Logger = slog.New(slog.DiscardHandler)
	engine, err := natsengine.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// runReal lives through histories of an engine that real time goes by for.
func runReal(t *testing.T, count int, open func(*testing.T, broker.History, uint64) broker.Engine) {
	t.Helper()
	seed := rand.Uint64N(1 << 48) //nolint:gosec // a test's chance
	if text := os.Getenv("FANFARE_REAL_HISTORIES"); text != "" {
		count, _ = strconv.Atoi(text)
	}
	if text := os.Getenv("FANFARE_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("FANFARE_SEED=%d", seed)
	var tally tally
	for n := range uint64(count) { //nolint:gosec // not negative
		t.Run(strconv.FormatUint(seed+n, 10), func(t *testing.T) {
			h := newHistory(t, seed+n, func(history broker.History) broker.Engine { return open(t, history, seed+n) })
			h.run()
			tally.add(h.oracle.tally)
		})
	}
	t.Logf("%+v", tally)
}

// history is one of them.
type history struct {
	t    *testing.T
	seed uint64
	// open makes the engine, of a history in real time. It is nil for one in a bubble.
	open    func(broker.History) broker.Engine
	random  *rand.Rand
	setting setting
	engine  broker.Engine
	unruly  *enginetest.Unruly // nil if the engine is not
	away    bool
	service *broker.PubSub
	oracle  *oracle

	listeners  []*listener
	refs       int
	published  atomic.Int64
	publishing sync.WaitGroup
	// step is the one under way.
	step atomic.Int64
	// did is what happened, for people.
	did []string
}

// setting is what is the same throughout a history.
type setting struct {
	unruly bool
	// page bounds the messages of a Read, 0 for not at all.
	page       int
	history    broker.History
	outboxSize int
	// slow has others come between the calls of the engine, and between publishes.
	slow bool
	// padding is how much longer messages are on the wire, at most.
	padding int
	// settled tells that everything comes to rest after each step.
	settled bool
}

func (h *history) chance(percent int) bool { return h.random.IntN(100) < percent }

func (h *history) note(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf("%3d ", h.step.Load())+fmt.Sprintf(format, args...))
}

func newHistory(t *testing.T, seed uint64, open func(broker.History) broker.Engine) *history {
	h := &history{
		t:      t,
		seed:   seed,
		open:   open,
		random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // a test's chance
	}
	h.setting = setting{
		unruly:     h.chance(40),
		page:       []int{0, 1, 2, 3}[h.random.IntN(4)],
		history:    enginetest.Generous(),
		outboxSize: 64 << 20,
		settled:    h.chance(40),
		slow:       h.chance(30),
	}
	h.setting.history.MaxMessagesPerTopic = []int{1, 3, 3, 3, 5, 1000}[h.random.IntN(6)]
	if h.chance(10) {
		h.setting.history.MaxBytes = 5 << 10
	}
	if h.chance(10) {
		h.setting.history.MaxAge = 3 * time.Minute
	}
	switch n := h.random.IntN(100); {
	case n < 20:
		h.setting.outboxSize = 2000
		h.setting.padding = 300
	case n < 22:
		h.setting.padding = 100_000 // little of it can be held back
	}
	if open != nil {
		h.setting.unruly, h.setting.settled = false, false
		h.setting.history.MaxAge = time.Hour
	}
	h.oracle = &oracle{slack: h.setting.history.MaxBytes < 1<<20, ordered: !h.setting.unruly, settled: h.setting.settled}
	if open != nil {
		// It delivers late, what is removed before that is lost on its way, and it does not know of
		// everything what it was.
		h.oracle.ordered, h.oracle.slack, h.oracle.disruptions = false, true, []int64{0}
	}
	for i := range 3 {
		h.listeners = append(h.listeners, &listener{name: string(rune('A' + i)), subs: make(map[models.Pattern]*tracked)})
	}
	return h
}

func (h *history) start() {
	if h.open != nil {
		h.engine = h.open(h.setting.history)
	} else if h.setting.unruly {
		h.unruly = enginetest.NewUnruly(h.seed, h.setting.history)
		h.engine = h.unruly
	} else {
		h.engine = broker.NewMemory(h.setting.history)
	}
	options := defaults()
	options.OutboxSize = h.setting.outboxSize
	engine := h.engine
	if h.setting.page > 0 {
		engine = pagedEngine{Engine: engine, page: h.setting.page}
	}
	if h.setting.slow {
		engine = slowEngine{engine, h.pause}
	}
	var err error
	if h.service, err = broker.New(h.t.Context(), engine, options); err != nil {
		h.t.Fatal(err)
	}
	h.newLife()
	h.look()
	h.step.Add(1)
}

// pause takes a little while, if the setting is slow.
func (h *history) pause() {
	if h.setting.slow {
		time.Sleep(rand.N(50 * time.Microsecond)) //nolint:gosec // a test's chance
	}
}

// slowEngine takes its time before each call.
type slowEngine struct {
	broker.Engine
	pause func()
}

func (e slowEngine) Position(ctx context.Context) (models.ID, error) {
	e.pause()
	return e.Engine.Position(ctx)
}

func (e slowEngine) Read(ctx context.Context, query broker.Query) (broker.Stretch, error) {
	e.pause()
	return e.Engine.Read(ctx, query)
}

func (e slowEngine) Tail(ctx context.Context, patterns []models.Pattern, upTo models.ID, count int) (models.ID, error) {
	e.pause()
	return e.Engine.Tail(ctx, patterns, upTo, count)
}

// newLife notes that the log has begun.
func (h *history) newLife() {
	position, err := h.engine.Position(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.oracle.lives = append(h.oracle.lives, position.Epoch)
}

// run lives through the history and has it judged.
func (h *history) run() {
	h.start()
	for range 12 + h.random.IntN(38) {
		h.act()
		switch {
		case h.setting.settled:
			h.settle()
		case h.chance(20):
			h.rest()
		case h.chance(20):
			time.Sleep(time.Duration(h.random.IntN(300)) * time.Microsecond) // replays take some rests
		}
		h.step.Add(1) // what is written from here on is not of what is found now
		h.look()
	}
	h.end()
	h.oracle.close()
	for _, l := range h.listeners {
		h.oracle.newAccount().judge(l)
	}
	if len(h.oracle.problems) == 0 {
		return
	}
	for _, e := range h.oracle.entries {
		h.note("%v of %s, gone by %d", e.id, e.topic, e.gone)
	}
	for _, l := range h.listeners {
		for i, past := range l.past {
			if s, ok := past.(*session); ok {
				for j, f := range s.frames()[:s.read] {
					h.note("%s, %d: frame %d, %v", l.name, i, j, f)
				}
			}
		}
	}
	h.t.Errorf("FANFARE_HISTORIES=1 FANFARE_SEED=%d\n%+v\n%s\n\n%s", h.seed, h.setting,
		strings.Join(h.did, "\n"), strings.Join(h.oracle.problems[:min(len(h.oracle.problems), 10)], "\n"))
}

// settle waits until everything has come to rest.
func (h *history) settle() {
	time.Sleep(100 * time.Millisecond)
	h.rest()
}

// rest waits until nothing goes on at the moment, where that can be known.
func (h *history) rest() {
	if h.open == nil {
		synctest.Wait()
	} else {
		time.Sleep(time.Duration(h.random.IntN(10)) * time.Millisecond)
	}
}

// look finds out what the log has. What is away does not change.
func (h *history) look() {
	if h.away {
		h.oracle.looks = append(h.oracle.looks, h.oracle.looks[len(h.oracle.looks)-1])
		return
	}
	ctx := h.t.Context()
	position, err := h.engine.Position(ctx)
	var retained []*models.Message
	for after := (models.ID{}); err == nil && after != position; {
		var stretch broker.Stretch
		stretch, err = h.engine.Read(ctx, broker.Query{Patterns: []models.Pattern{">"}, After: after, UpTo: position, Limit: 1000})
		retained = append(retained, stretch.Messages...)
		after = stretch.Reached
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.oracle.look(retained, position)
}

// act does one thing.
func (h *history) act() {
	switch n := h.random.IntN(100); {
	case n < 30:
		h.publishSome(1 + h.random.IntN(4))
	case n < 35:
		count := 2 + h.random.IntN(10)
		h.note("begin to publish %d", count)
		random := rand.New(rand.NewPCG(h.seed, uint64(h.step.Load()))) //nolint:gosec // a test's chance
		h.publishing.Go(func() {
			for range count {
				_ = h.publish(randomTopic(random))
				h.pause()
			}
		})
	case n < 39:
		topic := randomTopic(h.random)
		h.note("purge %s: %v", topic, h.service.Purge(h.t.Context(), models.Caller{}, topic))
	case n < 42:
		h.note("wait")
		h.sleep([]time.Duration{time.Second, minute, 2 * minute}[h.random.IntN(3)])
	case n < 48 && h.unruly != nil:
		h.unrulyThing()
	default:
		h.actOf(h.listeners[h.random.IntN(len(h.listeners))])
	}
}

func randomTopic(random *rand.Rand) models.Topic {
	return []models.Topic{"a", "a.b", "a.c", "b"}[random.IntN(4)]
}

func (h *history) publishSome(count int) {
	for range count {
		topic := randomTopic(h.random)
		h.note("publish to %s: %v", topic, h.publish(topic))
	}
}

// publish publishes a message. It fails while the engine is away.
func (h *history) publish(topic models.Topic) string {
	data := strconv.FormatInt(h.published.Add(1), 10)
	receipt, err := h.service.Publish(h.t.Context(), models.Caller{}, models.Draft{Topic: topic, Data: []byte(data)})
	if err != nil {
		if code := models.AsError(err).Code; code != models.CodeEngineUnavailable {
			h.t.Errorf("publish: %v", err)
		}
		return "failed"
	}
	h.oracle.publish(receipt)
	return receipt.ID.String()
}

func (h *history) unrulyThing() {
	switch n := h.random.IntN(10); {
	case n < 6:
		if h.away = !h.away; h.away {
			h.note("go away")
			h.unruly.GoAway()
		} else {
			h.note("come back")
			h.unruly.ComeBack()
		}
	case n < 8:
		h.note("lose")
		h.oracle.disruptions = append(h.oracle.disruptions, h.step.Load())
		h.unruly.Lose()
	case !h.away:
		h.publishing.Wait() // of a message to the old log the oracle would not know when it was gone
		h.note("forget")
		h.oracle.disruptions = append(h.oracle.disruptions, h.step.Load())
		if err := h.unruly.Forget(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		h.newLife()
	}
}

// actOf has a listener do one thing.
func (h *history) actOf(l *listener) {
	switch {
	case l.polling != nil:
		if l.polling.over() || h.chance(30) {
			h.endPoll(l)
		}
		return
	case l.now == nil:
		h.come(l)
		return
	}
	s := l.now
	l.readAll(len(s.frames()))
	closed := s.closed()
	switch n := h.random.IntN(100); {
	case closed != 0:
		h.note("%s was closed for %d", l.name, closed)
		h.oracle.tally.closed++
		h.leave(l)
	case n < 25:
		h.leave(l)
	case n < 40:
		h.note("%s takes all", l.name)
		s.conn.set(func(p *pipe) { p.narrow, p.left = 0, 0 })
		s.conn.open()
	case n < 50:
		left := 1 + h.random.IntN(1000+3*h.setting.padding)
		h.note("%s takes %d", l.name, left)
		s.conn.set(func(p *pipe) { p.narrow, p.left = 0, left })
		s.conn.open()
	case n < 58:
		h.note("%s is stuck", l.name)
		s.conn.stick()
	case s.stream:
	case n < 85:
		h.subscribeSome(l)
	default:
		h.unsubscribeSome(l)
	}
}

// set changes what a pipe takes.
func (p *pipe) set(change func(*pipe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (s *session) closed() models.CloseCode {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.conn.closed
}

// come has a listener come back, by one way or another, or come for the first time.
func (h *history) come(l *listener) {
	cursors := l.cursors()
	switch {
	case h.chance(25):
		h.beginPoll(l)
	case len(cursors) < 2 && h.chance(40):
		h.connect(l, true)
		if len(cursors) == 0 {
			h.request(l, h.randomPatterns(), h.randomStart(l), false)
		}
		for cursor, patterns := range cursors {
			h.request(l, patterns, models.Start{Since: cursor}, true)
		}
	default:
		h.connect(l, false)
		if len(cursors) == 0 {
			h.subscribeSome(l)
		}
		h.resume(l, cursors)
	}
}

// resume asks for what comes after the cursors: all patterns with one cursor in one
// request, or each with its own.
func (h *history) resume(l *listener, cursors map[models.ID][]models.Pattern) {
	var groups []models.ID
	for cursor := range cursors {
		groups = append(groups, cursor)
	}
	slices.SortFunc(groups, func(a, b models.ID) int { return cmp.Compare(a.String(), b.String()) })
	together := h.chance(50)
	for _, cursor := range groups {
		size := 1
		if together {
			size = len(cursors[cursor])
		}
		for patterns := range slices.Chunk(cursors[cursor], size) {
			h.request(l, patterns, models.Start{Since: cursor}, true)
		}
	}
}

func (h *history) connect(l *listener, stream bool) {
	s := &session{
		stream:   stream,
		requests: make(map[int]*request),
		has:      make(map[models.Pattern]bool),
		gone:     make(chan struct{}),
	}
	format := paddedFormat{padding: h.random.IntN(h.setting.padding + 1)}
	transport := models.TransportWebSocket
	s.conn = &wire{pipe: newPipe(h.t), format: format, step: &h.step}
	if stream {
		s.conn.format = streamFormat{format}
		transport = models.TransportSSE
	}
	how := "takes all"
	switch n := h.random.IntN(10); {
	case n < 2:
		how = "is stuck"
		s.conn.stuck = true
	case n < 4:
		s.conn.left = 1 + h.random.IntN(2000+5*h.setting.padding)
		how = fmt.Sprintf("takes %d", s.conn.left)
	case n < 6:
		s.conn.narrow = []int{7, 100, 1000}[h.random.IntN(3)]
		how = fmt.Sprintf("takes %d at a time", s.conn.narrow)
	}
	if h.setting.padding > 1000 && s.conn.narrow > 0 {
		s.conn.narrow *= 50
	}
	h.note("%s connects and %s; %T", l.name, how, s.conn.format)
	var err error
	s.client, err = h.service.AddClient(h.t.Context(), models.Caller{}, s.conn, models.Connection{Transport: transport})
	if err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(s.gone)
		s.conn.awaitClose()
		h.service.RemoveClient(s.client, models.CloseAbnormal)
	}()
	l.now = s
	l.past = append(l.past, s)
}

// leave cuts a connection off, somewhere behind what the listener has read.
func (h *history) leave(l *listener) {
	s := l.now
	h.service.RemoveClient(s.client, models.CloseAbnormal)
	<-s.gone
	left := len(s.frames()) - s.read
	l.readAll(s.read + h.random.IntN(left+1))
	h.note("%s leaves", l.name)
	l.left()
}

// randomPatterns gives one pattern, or some that overlap.
func (h *history) randomPatterns() []models.Pattern {
	patterns := []models.Pattern{"a", "a.b", "a.c", "b", "a.*", "a.>", "*", ">", "*.b"}
	h.random.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
	patterns = patterns[:1+max(0, h.random.IntN(5)-2)]
	if h.chance(5) {
		patterns = append(patterns, patterns[0])
	}
	return patterns
}

// randomStart gives any beginning.
func (h *history) randomStart(l *listener) models.Start {
	known := h.oracle.known()
	life := h.oracle.lives[len(h.oracle.lives)-1]
	switch n := h.random.IntN(100); {
	case n < 20:
		return models.Start{}
	case n < 35:
		return models.Start{Last: 1 + h.random.IntN(8)}
	case n < 50:
		return models.Start{All: true}
	case n < 75 && len(known) > 0:
		return models.Start{Since: known[h.random.IntN(len(known))].id}
	case n < 85 && l.now != nil && l.now.highest != models.ID{}:
		return models.Start{Since: l.now.highest}
	case n < 90:
		return models.Start{Since: models.ID{Epoch: "unknown", Sequence: h.random.Uint64N(10)}}
	case n < 95:
		return models.Start{Since: models.ID{Epoch: life, Sequence: 10_000}}
	default:
		return models.Start{Since: models.ID{Epoch: life}}
	}
}

func (h *history) subscribeSome(l *listener) {
	h.request(l, h.randomPatterns(), h.randomStart(l), false)
}

func (h *history) request(l *listener, patterns []models.Pattern, start models.Start, resumes bool) {
	s := l.now
	r := h.newRequest(s, models.ActionSubscribe, patterns)
	r.start, r.resumes = start, resumes
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*minute)
	defer cancel()
	err := h.service.Subscribe(ctx, models.Caller{}, s.client, patterns, models.SubscribeOptions{Start: start}, r.ack())
	h.note("%s subscribes to %v from %+v: %v, %v", l.name, patterns, start, r.ref, err)
	h.check(err)
	r.done = err == nil
	for _, p := range patterns {
		s.has[p] = s.has[p] || err == nil
	}
}

func (h *history) unsubscribeSome(l *listener) {
	s := l.now
	var patterns []models.Pattern
	for p, has := range s.has {
		if has {
			patterns = append(patterns, p)
		}
	}
	if len(patterns) == 0 {
		return
	}
	slices.Sort(patterns)
	h.random.Shuffle(len(patterns), func(i, j int) { patterns[i], patterns[j] = patterns[j], patterns[i] })
	patterns = patterns[:1+h.random.IntN(len(patterns))]
	r := h.newRequest(s, models.ActionUnsubscribe, patterns)
	err := h.service.Unsubscribe(h.t.Context(), models.Caller{}, s.client, patterns, r.ack())
	h.note("%s unsubscribes from %v: %v, %v", l.name, patterns, r.ref, err)
	h.check(err)
	r.done = err == nil
	for _, p := range patterns {
		delete(s.has, p)
	}
}

// check looks at an error: the engine may be away, and the client closed.
func (h *history) check(err error) {
	if err == nil {
		return
	}
	switch code := models.AsError(err).Code; {
	case errors.Is(err, context.DeadlineExceeded):
		h.t.Errorf("step %d: no answer", h.step.Load())
	case code == models.CodeNotFound, code == models.CodeEngineUnavailable && h.unruly != nil:
	default:
		h.t.Errorf("step %d: %v", h.step.Load(), err)
	}
}

func (h *history) newRequest(s *session, action models.Action, patterns []models.Pattern) *request {
	h.refs++
	r := &request{ref: h.refs, action: action, patterns: slices.Clone(patterns), before: h.step.Load() - 1, after: h.step.Load()}
	s.requests[r.ref] = r
	return r
}

// ack gives the ack of the request.
func (r *request) ack() models.Ack {
	of := models.Request{Action: r.action, Ref: models.Ref(strconv.Itoa(r.ref))}
	if len(r.patterns) == 1 {
		of.Topic = string(r.patterns[0])
	} else {
		of.Topics = r.topics()
	}
	return models.NewAck(of)
}

// poll is a request for a page of the log, which may wait.
type poll struct {
	pattern models.Pattern
	start   models.Start
	// resumes tells that the pattern is one of the listener's and since its cursor.
	resumes       bool
	limit         int
	wait          time.Duration
	before, after int64
	page          models.HistoryPage
	err           error
	done          chan struct{}
	claims        []claim
}

func (p *poll) claimed() []claim { return p.claims }

func (p *poll) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (h *history) beginPoll(l *listener) {
	p := &poll{
		limit:  []int{1, 2, 5, 100}[h.random.IntN(4)],
		wait:   h.scale([]time.Duration{0, time.Second, minute}[h.random.IntN(3)]),
		before: h.step.Load() - 1,
		done:   make(chan struct{}),
	}
	if patterns := l.patterns(); len(patterns) > 0 && h.chance(90) {
		p.pattern = patterns[h.random.IntN(len(patterns))]
		p.start.Since, p.resumes = l.subs[p.pattern].cursor, true
	} else {
		p.pattern, p.start = h.randomPatterns()[0], h.randomStart(l)
	}
	h.note("%s polls %s from %+v, %d, for %v", l.name, p.pattern, p.start, p.limit, p.wait)
	l.polling = p
	l.past = append(l.past, p)
	filter := models.HistoryFilter{Pattern: p.pattern, Start: p.start, Limit: p.limit}
	go func() {
		defer close(p.done)
		p.page, p.err = h.service.AwaitHistory(h.t.Context(), models.Caller{}, filter, p.wait, models.Connection{Transport: models.TransportPoll})
	}()
	if p.wait == 0 {
		h.endPoll(l)
	}
}

func (h *history) endPoll(l *listener) {
	p := l.polling
	l.polling = nil
	<-p.done
	p.after = h.step.Load()
	h.check(p.err)
	h.note("%s has %d messages up to %v: %v", l.name, len(p.page.Messages), p.page.Next, p.err)
	if p.err != nil {
		return
	}
	t := l.subs[p.pattern]
	if t == nil {
		t = &tracked{}
		l.subs[p.pattern] = t
	}
	if !p.resumes || p.page.Next.Epoch != t.cursor.Epoch {
		t.from = p.page.Next
	}
	t.cursor = p.page.Next
	if !p.resumes {
		t.last = models.ID{}
	}
	for _, m := range p.page.Messages {
		t.give(m.ID)
	}
	p.claims = append(p.claims, claim{p.pattern, t.from, t.cursor, t.got})
}

// end brings everything to an end: what is due comes.
func (h *history) end() {
	h.publishing.Wait()
	if h.away {
		h.unruly.ComeBack()
		h.away = false
	}
	h.publishSome(1)
	if h.open != nil {
		for _, topic := range []models.Topic{"a", "a.b", "a.c", "b"} {
			_ = h.publish(topic) // something for every pattern, behind all else
		}
	}
	for _, l := range h.listeners {
		if l.polling != nil {
			h.endPoll(l)
		}
		if l.now != nil {
			l.now.conn.set(func(p *pipe) { p.narrow, p.left = 0, 0 })
			l.now.conn.open()
		}
	}
	if h.open == nil {
		time.Sleep(time.Second) // a replay that found the engine away tries again
		synctest.Wait()
	} else {
		h.awaitAll()
	}
	h.step.Add(1)
	h.look()
	for _, l := range h.listeners {
		if s := l.now; s != nil {
			l.readAll(len(s.frames()))
			s.alive = s.closed() == 0
			l.left()
		}
	}
	if err := h.service.Close(h.t.Context()); err != nil {
		h.t.Error(err)
	}
}

// scale makes less of a time that really goes by.
func (h *history) scale(d time.Duration) time.Duration {
	if h.open != nil {
		d /= 300
	}
	return d
}

func (h *history) sleep(d time.Duration) { time.Sleep(h.scale(d)) }

// awaitAll waits until every listener has what there is for it.
func (h *history) awaitAll() {
	last := make(map[models.Topic]models.ID)
	for _, e := range h.oracle.known() {
		if isAfter(e.id, last[e.topic]) {
			last[e.topic] = e.id
		}
	}
	for end := time.Now().Add(minute); ; time.Sleep(time.Millisecond) {
		missing := ""
		for _, l := range h.listeners {
			if l.now != nil && l.now.closed() == 0 {
				l.readAll(len(l.now.frames()))
				missing += l.missing(last)
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			h.oracle.problem("after a minute there are missing %s", missing)
			return
		}
	}
}

// missing tells what a connection is still to have: an ack, a caught_up, or the last message of a topic.
func (l *listener) missing(last map[models.Topic]models.ID) string {
	answered := make(map[int]bool)
	for _, f := range l.now.frames() {
		answered[f.Ref] = answered[f.Ref] || f.Type == "ack"
	}
	for ref, r := range l.now.requests {
		if r.done && !answered[ref] {
			return fmt.Sprintf("%s: the answer to %d; ", l.name, ref)
		}
	}
	for p, has := range l.now.has {
		t := l.subs[p]
		if !has {
			continue
		}
		if t == nil || t.waits != nil && !l.now.stream {
			return fmt.Sprintf("%s: an answer for %s; ", l.name, p)
		}
		for topic, id := range last {
			if p.Matches(topic) && isAfter(id, l.now.highest) {
				return fmt.Sprintf("%s: %v of %s for %s; ", l.name, id, topic, p)
			}
		}
	}
	return ""
}

func (a *tally) add(b tally) {
	a.replayed += b.replayed
	a.live += b.live
	a.recovered += b.recovered
	a.lost += b.lost
	a.gaps += b.gaps
	a.misses += b.misses
	a.excused += b.excused
	a.caughtUp += b.caughtUp
	a.cutReplays += b.cutReplays
	a.closed += b.closed
	a.positions += b.positions
	a.pages += b.pages
}

// missing names what there is none of.
func (a *tally) missing() (names []string) {
	for name, count := range map[string]int{
		"replayed messages":     a.replayed,
		"live messages":         a.live,
		"recovered":             a.recovered,
		"recovered: false":      a.lost,
		"gaps":                  a.gaps,
		"messages told missing": a.misses,
		"caught_up":             a.caughtUp,
		"replays cut off":       a.cutReplays,
		"slow listeners":        a.closed,
		"positions":             a.positions,
		"pages":                 a.pages,
	} {
		if count == 0 {
			names = append(names, name)
		}
	}
	return names
}
