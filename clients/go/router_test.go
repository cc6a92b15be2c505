package fanfare

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestRouting has the router take part in random histories of a simple server: subscribes, unsubscribes, replays,
// publishing, and connections that break with frames on their way. Whatever happens, each subscription has to get what
// matches it, once, in order, and the router has to find out whose each message is.
func TestRouting(t *testing.T) {
	for seed := range uint64(1000) {
		h := &history{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // to repeat it
		h.connect()
		for range 300 {
			h.step()
		}
		h.finish()
		if t.Failed() {
			return
		}
	}
}

// history is a server with one client. The server is a log, and a place in it up to which all was delivered.
type history struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	topics []string // of the log: the message with the sequence n is at n-1

	// Of the connection: what is on its way in both directions, and what the server knows of it.
	requests []func()
	frames   []func()
	serving  []*served
	router   *router

	reads []*reader
	refs  uint64
}

// served is a subscribe on the server: live, or in a replay that has come to at.
type served struct {
	route    *route
	patterns []string
	live     bool
	at       uint64
}

// reader is a subscription of the client.
type reader struct {
	patterns     []string
	subscription *Subscription // only its name
	route        *route
	// start is where it begins, once that is known: everything that matches after it is due.
	start   uint64
	started bool
	since   uint64
	replays bool
	over    bool
	got     []uint64
}

func (h *history) step() {
	switch h.random.IntN(10) {
	case 0, 1, 2:
		h.publish()
	case 3:
		h.subscribe()
	case 4:
		if h.random.IntN(3) == 0 {
			h.unsubscribe()
		}
	case 5, 6:
		h.replay()
	case 7:
		h.pass(&h.requests)
	case 8:
		h.pass(&h.frames)
		h.pass(&h.frames)
	case 9:
		if h.random.IntN(8) == 0 {
			h.cut()
		}
	}
}

// pass has the first of what is on its way arrive.
func (h *history) pass(queue *[]func()) {
	if len(*queue) > 0 {
		first := (*queue)[0]
		*queue = (*queue)[1:]
		first()
	}
}

// send has the server send a frame over the present connection.
func (h *history) send(frame func()) { h.frames = append(h.frames, frame) }

func at(sequence uint64) position { return position{epoch: "e", sequence: sequence} }

func (h *history) end() uint64 { return uint64(len(h.topics)) }

func matchesAny(patterns []string, topic string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, topic) })
}

// publish delivers a message: once, if a subscription that is live matches.
func (h *history) publish() {
	topic := []string{"a", "b", "a.b", "c"}[h.random.IntN(4)]
	h.topics = append(h.topics, topic)
	sequence := h.end()
	if slices.ContainsFunc(h.serving, func(s *served) bool { return s.live && matchesAny(s.patterns, topic) }) {
		h.send(func() { h.message(topic, sequence) })
	}
	if h.random.IntN(5) == 0 && !slices.ContainsFunc(h.serving, func(s *served) bool { return !s.live }) {
		h.send(func() { h.router.see(at(sequence)) }) // a position
	}
}

// message is for a message that has come to the client.
func (h *history) message(topic string, sequence uint64) {
	for _, route := range h.router.recipients(topic, at(sequence)) {
		for _, r := range h.reads {
			if r.route != route {
				continue
			}
			if last := len(r.got) - 1; last < 0 || r.got[last] < sequence {
				r.got = append(r.got, sequence)
			}
		}
	}
}

// replay has the replay that is under way go on, or end.
func (h *history) replay() {
	for _, s := range h.serving {
		if s.live {
			continue
		}
		for s.at < h.end() {
			s.at++
			if topic, sequence := h.topics[s.at-1], s.at; matchesAny(s.patterns, topic) {
				h.send(func() { h.message(topic, sequence) })
				return
			}
		}
		s.live = true
		reached := s.at
		h.send(func() { h.router.caughtUp(at(reached)) })
		return
	}
}

func (h *history) subscribe() {
	patterns := [][]string{{"a"}, {"*"}, {">"}, {"b", "a.*"}, {"c", "a.>"}}[h.random.IntN(5)]
	if slices.ContainsFunc(h.reads, func(r *reader) bool { return !r.over && slices.Equal(r.patterns, patterns) }) {
		return
	}
	r := &reader{patterns: patterns, subscription: &Subscription{}}
	if h.random.IntN(2) == 0 {
		r.since, r.replays = uint64(h.random.IntN(len(h.topics)+1)), true //nolint:gosec // it is small
		r.start, r.started = r.since, true
	}
	h.reads = append(h.reads, r)
	h.ask(r)
}

func (h *history) ask(r *reader) {
	h.refs++
	route := &route{subscription: r.subscription, ref: h.refs, patterns: r.patterns, replays: r.replays}
	since := r.since
	r.route = route
	h.router.add(route)
	h.requests = append(h.requests, func() {
		s := &served{route: route, patterns: route.patterns, live: !route.replays, at: since}
		if s.live {
			s.at = h.end()
		}
		acknowledged := s.at
		h.serving = append(h.serving, s)
		h.send(func() {
			h.router.acknowledged(route, at(acknowledged))
			if !r.started {
				r.start, r.started = acknowledged, true
			}
		})
	})
}

func (h *history) unsubscribe() {
	alive := slices.DeleteFunc(slices.Clone(h.reads), func(r *reader) bool { return r.over })
	if len(alive) == 0 {
		return
	}
	r := alive[h.random.IntN(len(alive))]
	r.over = true
	route := r.route
	r.route = nil
	h.requests = append(h.requests, func() {
		h.serving = slices.DeleteFunc(h.serving, func(s *served) bool { return s.route == route })
		h.send(func() { h.router.remove(route) })
	})
}

func (h *history) connect() {
	h.router, h.serving, h.requests, h.frames = &router{}, nil, nil, nil
	for _, r := range h.reads {
		if !r.over {
			h.ask(r)
		}
	}
}

func (h *history) cut() {
	for _, r := range h.reads {
		if r.route != nil && r.route.stage != asked {
			r.since, r.replays = h.router.cursor(r.route).sequence, true
		}
	}
	h.connect()
}

// finish lets everything come to its end, and compares.
func (h *history) finish() {
	for h.pending() {
		h.pass(&h.requests)
		h.replay()
		h.pass(&h.frames)
	}
	for _, r := range h.reads {
		var want []uint64
		for sequence := r.start + 1; sequence <= h.end(); sequence++ {
			if r.started && matchesAny(r.patterns, h.topics[sequence-1]) {
				want = append(want, sequence)
			}
		}
		if r.over { // it got the beginning of that
			want = want[:min(len(r.got), len(want))]
		}
		if !slices.Equal(r.got, want) {
			h.t.Errorf("seed %d: %s from %d got %v, not %v", h.seed, strings.Join(r.patterns, ","), r.start, r.got, want)
		}
	}
}

func (h *history) pending() bool {
	return len(h.requests) > 0 || len(h.frames) > 0 ||
		slices.ContainsFunc(h.serving, func(s *served) bool { return !s.live })
}

// A replay's cursor is what it has brought, not what came over the connection for others.
func TestCursorWithinAReplay(t *testing.T) {
	r := &router{}
	live, replaying := &route{ref: 1, patterns: []string{"a"}}, &route{ref: 2, patterns: []string{"b"}, replays: true}
	r.add(live)
	r.add(replaying)
	r.acknowledged(live, at(100))
	r.acknowledged(replaying, at(10))
	r.recipients("a", at(101))
	r.recipients("b", at(20))
	if got := r.cursor(live); got != at(101) {
		t.Errorf("the cursor of what is live is %v", got)
	}
	if got := r.cursor(replaying); got != at(20) {
		t.Errorf("the cursor of the replay is %v", got)
	}
}

// A replay for nobody ends without a word: what comes next is of the next one.
func TestReplayThatLosesItsPatterns(t *testing.T) {
	r := &router{}
	first, second := &route{ref: 1, patterns: []string{"a", "b"}, replays: true}, &route{ref: 2, patterns: []string{"c"}, replays: true}
	for _, route := range []*route{first, second} {
		r.add(route)
		r.acknowledged(route, at(0))
	}
	r.lose(first, "a")
	if got := r.recipients("a", at(1)); got != nil {
		t.Errorf("of nobody: %v", got)
	}
	if got := r.recipients("b", at(1)); len(got) != 1 || got[0] != first {
		t.Errorf("of the first, with what is left to it: %v", got)
	}
	r.lose(first, "b")
	if got := r.recipients("c", at(1)); len(got) != 1 || got[0] != second {
		t.Errorf("of the second: %v", got)
	}
}

// To ask for a pattern again takes it from the older request, whose unsubscribe was refused.
func TestPatternThatIsAskedForAnew(t *testing.T) {
	r := &router{}
	older, newer := &route{ref: 1, patterns: []string{"a", "b"}}, &route{ref: 2, patterns: []string{"a"}, replays: true}
	r.add(older)
	r.acknowledged(older, at(5))
	r.add(newer)
	if !r.isWantedAnew(older) {
		t.Error("a pattern that is asked for anew would be unsubscribed")
	}
	if got := r.having("a"); got != older {
		t.Errorf("a notice is for %v before the newer one is answered", got)
	}
	r.acknowledged(newer, at(1))
	if got := r.having("a"); got != newer {
		t.Errorf("a notice is for %v", got)
	}
	if r.isWantedAnew(older) || !slices.Equal(older.patterns, []string{"b"}) {
		t.Errorf("the older one has %v", older.patterns)
	}
	if got := r.recipients("a", at(6)); len(got) != 1 || got[0] != newer {
		t.Errorf("a message of the replay went to %v", got)
	}
}
