package fanfare_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"fanfare/app/severable"
	fanfare "fanfare/clients/go"
)

// TestHistories lives through random histories with a real server: subscriptions that overlap, begin anywhere, are slow,
// are given up, end at any time, and go on from their cursor, while the connection is cut. FANFARE_REAL_HISTORIES is for
// more of them.
func TestHistories(t *testing.T) {
	count := 6
	if text := os.Getenv("FANFARE_REAL_HISTORIES"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		seed := rand.Uint64() //nolint:gosec // to spread
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			newHistory(t, seed).run()
		})
	}
}

// history is what happens to one client, and what was published meanwhile.
type history struct {
	t      *testing.T
	random *rand.Rand
	way    *severable.Way
	client *fanfare.Client

	// Of all messages. Their data is their index.
	topics, ids []string

	open, closed []*reading
	working      sync.WaitGroup
	// all is closed when all is published.
	all chan struct{}
}

// reading is a subscription, and what it got.
type reading struct {
	patterns     []string
	subscription *fanfare.Subscription
	// from is the first index that may be in it.
	from int
	// idle has the reader rest after the first message, until it is closed; nil does not.
	idle <-chan struct{}

	// over is closed when its goroutine is over, which owns the rest until then.
	over chan struct{}
	got  []int
	err  error
}

// everywhere has topics such that each pattern of a history matches some.
func everywhere() []string { return []string{"a", "b", "a.b", "a.c", "c"} }

// matching gives those of the topics that a subscription matches.
func (r *reading) matching(topics []string) []string {
	return slices.DeleteFunc(slices.Clone(topics), func(topic string) bool {
		return !slices.ContainsFunc(r.patterns, func(pattern string) bool {
			switch pattern {
			case "*":
				return !strings.Contains(topic, ".")
			case "a.*", "a.>":
				return strings.HasPrefix(topic, "a.")
			default:
				return pattern == ">" || pattern == topic
			}
		})
	})
}

func newHistory(t *testing.T, seed uint64) *history {
	url, stop := serve()
	t.Cleanup(stop)
	h := &history{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // to repeat it
		all: make(chan struct{}),
		way: severable.New(t, strings.TrimPrefix(url, "http://")),
	}
	var err error
	if h.client, err = fanfare.Connect("http://"+h.way.Address(), fanfare.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.Close)
	return h
}

func (h *history) run() {
	for range 400 {
		switch n := h.random.IntN(100); {
		case n < 70:
			h.publish(everywhere()[h.random.IntN(5)], 1)
		case n < 90:
			h.subscribe()
		case n < 96:
			h.unsubscribe()
		case n < 98:
			h.giveUp()
		default:
			h.way.Cut()
		}
	}
	for _, topic := range everywhere() {
		h.publish(topic, -1)
	}
	close(h.all)
	h.working.Wait()
	for _, r := range h.closed {
		h.compare(r, false)
	}
	for _, r := range h.open {
		h.compare(r, true)
	}
}

// publish publishes the next message, whose data is negative if it is one of the last.
func (h *history) publish(topic string, sign int) {
	receipt, err := h.client.Publish(h.t.Context(), topic, sign*len(h.ids))
	if err != nil {
		h.t.Fatal(err)
	}
	h.ids, h.topics = append(h.ids, receipt.ID), append(h.topics, topic)
}

func (h *history) subscribe() {
	all := []string{"a", "b", "a.*", "*", ">", "a.b", "c"}
	patterns := []string{all[h.random.IntN(len(all))]}
	if h.random.IntN(2) == 0 {
		patterns = append(patterns, "a.>")
	}
	r := &reading{patterns: patterns, from: len(h.ids)}
	options := fanfare.SubscribeOptions{Topics: patterns}
	switch begin := h.random.IntN(4); {
	case begin == 0:
		options.Since, r.from = "all", 0
	case begin == 1 && len(h.ids) > 0:
		r.from = h.random.IntN(len(h.ids)) + 1
		options.Since = h.ids[r.from-1]
	}
	if h.random.IntN(3) == 0 {
		r.idle = h.all
	}
	if !h.has(patterns) {
		h.begin(r, options)
	}
}

// has tells whether one of the patterns is taken: it can be had once.
func (h *history) has(patterns []string) bool {
	return slices.ContainsFunc(h.open, func(r *reading) bool {
		return slices.ContainsFunc(r.patterns, func(p string) bool { return slices.Contains(patterns, p) })
	})
}

func (h *history) begin(r *reading, options fanfare.SubscribeOptions) {
	options.Buffer = 1 + h.random.IntN(20)
	var err error
	if r.subscription, err = h.client.Subscribe(h.t.Context(), options); err != nil {
		h.t.Fatal(err)
	}
	h.open = append(h.open, r)
	r.over = make(chan struct{})
	h.working.Go(func() {
		defer close(r.over)
		r.err = r.read()
	})
}

// giveUp begins a subscription that is not waited for, or not for long. Whatever becomes of it is over at once.
func (h *history) giveUp() {
	if h.has([]string{"a.*"}) {
		return
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	go cancel()
	s, err := h.client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"a.*"}, Since: "all"})
	switch {
	case err == nil:
		s.Close()
	case !errors.Is(err, context.Canceled):
		h.t.Error(err)
	}
}

func (h *history) unsubscribe() {
	if len(h.open) == 0 {
		return
	}
	i := h.random.IntN(len(h.open))
	r := h.open[i]
	r.subscription.Close()
	h.closed = append(h.closed, r)
	h.open = slices.Delete(h.open, i, i+1)
	if r.idle != nil || h.random.IntN(2) == 0 {
		return
	}
	<-r.over
	if r.err != nil {
		return // compare tells
	}
	again := &reading{patterns: r.patterns, from: r.from}
	if len(r.got) > 0 {
		again.from = r.got[len(r.got)-1] + 1
	}
	h.begin(again, fanfare.SubscribeOptions{Topics: r.patterns, Since: r.subscription.Cursor()})
}

// read reads to the last message that there will be, or until the subscription is closed.
func (r *reading) read() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	last := r.matching(everywhere())
	for message, err := range r.subscription.Messages(ctx) {
		if err != nil {
			return err
		}
		var n int
		if err := message.Decode(&n); err != nil {
			return err
		}
		r.got = append(r.got, max(n, -n))
		if n < 0 && message.Topic == last[len(last)-1] {
			return nil
		}
		if r.idle != nil {
			<-r.idle
		}
	}
	return nil
}

// compare compares what a subscription got with what was published: all of it, or the beginning.
func (h *history) compare(r *reading, all bool) {
	if r.err != nil {
		h.t.Errorf("%v has ended: %v", r.patterns, r.err)
		return
	}
	var want []int
	for i := r.from; i < len(h.topics); i++ {
		if len(r.matching(h.topics[i:i+1])) > 0 {
			want = append(want, i)
		}
	}
	if !all {
		want = want[:min(len(want), len(r.got))]
	}
	if !slices.Equal(r.got, want) {
		h.t.Errorf("%v from %d got %v, not %v", r.patterns, r.from, r.got, want)
	}
}
