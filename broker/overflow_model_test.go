package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestOverflowAgainstAList lives through random histories of a client, and compares
// with a list to which the rules are applied word by word. Besides, whatever the list
// says, nobody who stops reading anywhere has missed a message without a notice.
func TestOverflowAgainstAList(t *testing.T) {
	const histories = 1500
	seed := rand.Uint64() //nolint:gosec // a test
	t.Logf("seed %d", seed)
	closed, dropped := 0, uint64(0)
	for i := range histories {
		h := newHistory(t, seed, uint64(i))
		for range 100 + h.random.IntN(400) {
			h.step()
		}
		h.end()
		dropped += h.model.dropped
		if h.model.closed {
			closed++
		}
		if t.Failed() {
			t.Fatalf("history %d of seed %d:\n%s", i, seed, strings.Join(h.did, "\n"))
		}
	}
	t.Logf("%d messages were dropped, %d of %d clients closed", dropped, closed, histories)
	if dropped == 0 || closed == 0 || closed == histories {
		t.Error("the histories do not cover what they should")
	}
}

// history is one client's, with the list that it is compared with.
type history struct {
	*rig
	random *rand.Rand
	model  model
	// did is what happened, for people.
	did []string
	// subscribed has the overflow of each of the client's patterns, and accounts the
	// messages that it wants, each with the pattern on whose account it comes; "" for a
	// message that must not be dropped.
	subscribed map[models.Pattern]*modelSubscription
	accounts   map[string]models.Pattern
	// read is every frame that the client has got.
	read []string
}

func newHistory(t *testing.T, seed, number uint64) *history {
	t.Helper()
	h := &history{
		random:     rand.New(rand.NewPCG(seed, number)), //nolint:gosec // a test's chance
		subscribed: make(map[models.Pattern]*modelSubscription),
		accounts:   make(map[string]models.Pattern),
	}
	size := []int{500, 2_000, 10_000}[h.random.IntN(3)]
	h.rig = newRig(t, size)
	// So small that frames are larger, and that many chunks are written.
	h.shard.scratch = make([]byte, 0, 30+h.random.IntN(300))
	h.model = model{limit: size, chunk: cap(h.shard.scratch)}
	return h
}

func (h *history) note(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf(format, args...))
}

// step does one thing, and compares.
func (h *history) step() {
	h.t.Helper()
	switch n := h.random.IntN(100); {
	case n < 70:
		h.publishSome()
	case n < 75:
		size := []int{0, 1, 20, 100, 1_000}[h.random.IntN(5)]
		h.note("open %d", size)
		h.conn.open(size)
		h.model.open(size)
		if h.random.IntN(3) > 0 {
			h.note("flush")
			h.shard.flushRound()
			h.model.flushRound()
		}
	case n < 80:
		h.note("flush")
		h.shard.flushRound()
		h.model.flushRound()
	case n < 85:
		h.note("pong")
		h.pong()
		h.model.push(&modelFrame{text: "pong\n"})
	case n < 96:
		h.subscribeSome()
	default:
		h.unsubscribeSome()
	}
	h.compare()
}

func (h *history) patterns() []models.Pattern {
	return []models.Pattern{"*", "a", "b", "c", ">"}
}

func (h *history) subscribeSome() {
	p := h.patterns()[h.random.IntN(len(h.patterns()))]
	overflow := models.OverflowDisconnect
	if h.random.IntN(6) > 0 {
		overflow = []models.Overflow{models.OverflowLatest, models.OverflowDropOldest}[h.random.IntN(2)]
	}
	h.note("subscribe %s %s", p, overflow)
	h.subscribe(overflow, p)
	if h.subscribed[p] == nil {
		h.subscribed[p] = &modelSubscription{pattern: p}
	}
	h.subscribed[p].overflow = overflow
}

func (h *history) unsubscribeSome() {
	p := h.patterns()[h.random.IntN(len(h.patterns()))]
	if h.subscribed[p] == nil {
		return
	}
	h.note("unsubscribe %s", p)
	h.unsubscribe(p)
	delete(h.subscribed, p)
}

func (h *history) publishSome() {
	topic := []models.Topic{"a", "b", "c", "d", "e", "f"}[h.random.IntN(6)]
	size := h.random.IntN(60)
	if h.random.IntN(10) == 0 {
		size = h.random.IntN(300)
	}
	h.publish(topic, size)
	name := fmt.Sprintf("%s%d", topic, h.last)
	h.note("publish %s with %d bytes", name, size)
	account := h.account(topic)
	if account == nil || h.model.closed {
		return
	}
	f := &modelFrame{topic: topic, text: name + strings.Repeat(".", size) + "\n"}
	h.accounts[name] = ""
	if account.overflow != models.OverflowDisconnect {
		f.account, f.overflow = account, account.overflow
		h.accounts[name] = account.pattern
	}
	h.model.push(f)
}

// account is the strongest of the subscriptions that match; of equally strong ones that
// to the very topic, then that to >.
func (h *history) account(t models.Topic) *modelSubscription {
	for _, overflow := range []models.Overflow{models.OverflowDisconnect, models.OverflowDropOldest, models.OverflowLatest} {
		for _, p := range []models.Pattern{models.Pattern(t), ">", "*"} {
			if sub := h.subscribed[p]; sub != nil && sub.overflow == overflow {
				return sub
			}
		}
	}
	return nil
}

func (h *history) compare() {
	h.t.Helper()
	h.check()
	got := h.conn.taken.String()
	if got != h.model.written {
		h.t.Errorf("(-want +got):\n%s", cmp.Diff(strings.Split(h.model.written, "\n"), strings.Split(got, "\n")))
	}
	h.read = append(h.read, h.frames()...)
	h.model.written = h.conn.taken.String() // what is left of a frame
	info := h.client.Info()
	if info.Dropped != h.model.dropped || info.Delivered != h.model.delivered {
		h.t.Errorf("dropped %d, want %d; delivered %d, want %d", info.Dropped, h.model.dropped, info.Delivered, h.model.delivered)
	}
	if closed := h.client.closing != 0; closed != h.model.closed {
		h.t.Errorf("closed: %t, want %t", closed, h.model.closed)
	}
	if h.t.Failed() {
		h.t.Fatalf("history:\n%s", strings.Join(h.did, "\n"))
	}
}

// end lets the client take everything, and looks at all that it has read.
func (h *history) end() {
	h.t.Helper()
	h.conn.open(1 << 30)
	h.model.open(1 << 30)
	for range 2 { // the first round may end at a chunk that nobody was open for
		h.shard.flushRound()
		h.model.flushRound()
	}
	h.compare()
	if !h.client.outbox.empty() {
		h.t.Error("something still waits")
	}
	h.checkLosses()
}

// checkLosses goes through the frames in their order. A message that was passed over
// must have been told of before, on its account; in the end neither more nor less.
func (h *history) checkLosses() {
	h.t.Helper()
	missing := make(map[models.Pattern]int)
	told := make(map[models.Pattern]int)
	seen := 0
	for _, text := range h.read {
		var pattern models.Pattern
		var count, sequence int
		var topic rune
		if n, _ := fmt.Sscanf(text, "dropped %s %d", &pattern, &count); n == 2 {
			told[pattern] += count
			continue
		}
		if n, _ := fmt.Sscanf(text, "%c%d", &topic, &sequence); n != 2 {
			continue
		}
		if sequence <= seen {
			h.t.Errorf("%s comes after %d", text, seen)
		}
		h.miss(missing, seen, sequence)
		seen = sequence
		for p, n := range missing {
			if told[p] < n {
				h.t.Errorf("at %s %d of %s are missing, and %d were told of", text, n, p, told[p])
			}
		}
	}
	if h.model.closed {
		return
	}
	h.miss(missing, seen, int(h.last)+1) //nolint:gosec // a small number
	if diff := cmp.Diff(missing, told); diff != "" {
		h.t.Errorf("missing, and told of (-missing +told):\n%s", diff)
	}
}

// miss counts the messages between two sequences that the client wanted.
func (h *history) miss(missing map[models.Pattern]int, after, before int) {
	for sequence := after + 1; sequence < before; sequence++ {
		for _, topic := range "abcdef" {
			p, wanted := h.accounts[fmt.Sprintf("%c%d", topic, sequence)]
			switch {
			case wanted && p == "":
				h.t.Errorf("%c%d is missing, which must not be dropped", topic, sequence)
			case wanted:
				missing[p]++
			}
		}
	}
}

// model is the outbox as a plain list.
type model struct {
	limit, chunk int

	list    []*modelFrame
	blocked bool
	// left is what the connection takes, asked tells that it is to say when it takes
	// more, and hasRoom that it said so.
	left           int
	asked, hasRoom bool
	closed         bool

	written            string
	delivered, dropped uint64
}

type modelSubscription struct {
	pattern  models.Pattern
	overflow models.Overflow
}

// modelFrame is a message that may be dropped, a notice, or a frame that stays.
type modelFrame struct {
	text  string
	topic models.Topic
	// account and overflow are those of a message that may be dropped; a notice has the
	// account and the count.
	account  *modelSubscription
	overflow models.Overflow
	count    int
	// begun is how much of it is written.
	begun int
}

func (f *modelFrame) bytes() string {
	if f.count > 0 {
		return fmt.Sprintf("dropped %s %d\n", f.account.pattern, f.count)
	}
	return f.text
}

func (f *modelFrame) droppable() bool { return f.overflow != "" && f.begun == 0 }

// unsentNotice finds the notice that counts what the subscription lost.
func (m *model) unsentNotice(account *modelSubscription) int {
	return slices.IndexFunc(m.list, func(f *modelFrame) bool {
		return f.count > 0 && f.begun == 0 && f.account == account
	})
}

func (m *model) fits(f *modelFrame) bool {
	cost := frameCost + len(f.text)
	for _, f := range m.list {
		if f.count == 0 || f.begun > 0 {
			cost += frameCost + len(f.bytes()) - f.begun
		}
	}
	return cost <= m.limit
}

func (m *model) push(f *modelFrame) {
	if m.closed {
		return
	}
	if f.overflow == models.OverflowLatest {
		if i := slices.IndexFunc(m.list, func(old *modelFrame) bool {
			return old.droppable() && old.overflow == models.OverflowLatest && old.topic == f.topic
		}); i >= 0 {
			m.drop(i)
		}
	}
	if !m.fits(f) && (!m.blocked || m.hasRoom) {
		m.offer()
	}
	for !m.fits(f) {
		i := slices.IndexFunc(m.list, (*modelFrame).droppable)
		if i < 0 {
			break
		}
		m.drop(i)
	}
	if !m.fits(f) && !f.droppable() {
		m.offer()
	}
	switch {
	case m.fits(f):
		m.list = append(m.list, f)
	case f.droppable():
		m.dropped++
		if i := m.unsentNotice(f.account); i >= 0 {
			m.list[i].count++
		} else {
			m.list = append(m.list, &modelFrame{account: f.account, count: 1})
		}
	default:
		m.closed = true
		m.list = slices.DeleteFunc(m.list, func(f *modelFrame) bool { return f.begun == 0 })
		m.list = append(m.list, &modelFrame{text: "close 4001\n"})
	}
}

// drop leaves a notice in the place, or counts it in the one that is further ahead.
func (m *model) drop(i int) {
	m.dropped++
	account := m.list[i].account
	n := m.unsentNotice(account)
	switch {
	case n < 0:
		m.list[i] = &modelFrame{account: account, count: 1}
	case n < i:
		m.list[n].count++
		m.list = slices.Delete(m.list, i, i+1)
	default:
		m.list[i] = &modelFrame{account: account, count: m.list[n].count + 1}
		m.list = slices.Delete(m.list, n, n+1)
	}
}

func (m *model) open(n int) {
	m.left += n
	if m.asked && m.left > 0 {
		m.asked, m.hasRoom = false, true
	}
}

func (m *model) flushRound() {
	if m.hasRoom {
		m.blocked, m.hasRoom = false, false
	}
	m.flush()
}

func (m *model) offer() {
	m.blocked, m.hasRoom = false, false
	m.flush()
}

// flush writes chunk after chunk, until one is not taken as a whole.
func (m *model) flush() {
	for len(m.list) > 0 && !m.blocked {
		chunk := ""
		for i, f := range m.list {
			text := f.bytes()[f.begun:]
			if len(chunk)+len(text) > m.chunk && i > 0 {
				break
			}
			if chunk += text; len(chunk) > m.chunk {
				break
			}
		}
		n := min(len(chunk), m.left)
		m.left -= n
		m.written += chunk[:n]
		m.blocked = n < len(chunk)
		m.asked = m.asked || m.blocked
		m.advance(n)
	}
}

func (m *model) advance(n int) {
	for n > 0 {
		head := m.list[0]
		left := len(head.bytes()) - head.begun
		if n < left {
			head.begun += n
			return
		}
		n -= left
		if head.topic != "" {
			m.delivered++
		}
		m.list = m.list[1:]
	}
}
