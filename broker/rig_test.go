package broker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"fanfare/models"
)

// rig is a shard without its goroutine and one client of it, whose connection takes as
// much as the test says. What happens to an outbox happens step by step.
type rig struct {
	t      *testing.T
	shard  *shard
	client *Client
	conn   *valve
	// last is the sequence of the message that was published last.
	last uint64
}

// newRig connects a client that has taken its welcome.
func newRig(t *testing.T, outboxSize int) *rig {
	t.Helper()
	r := &rig{t: t, conn: &valve{}}
	r.shard = newShard(0, newBudget(1<<30, time.Minute), nil, outboxSize, time.Minute)
	var err error
	r.client, err = newClient([]*shard{r.shard}, new(models.Caller), r.conn, models.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	r.conn.open(1 << 30)
	r.shard.add(r.client, models.NewPong(nil))
	r.shard.flushRound()
	r.conn.taken.Reset()
	r.conn.left = 0
	return r
}

func (r *rig) subscribe(overflow models.Overflow, patterns ...models.Pattern) {
	r.t.Helper()
	all, _, err := r.client.addSubscriptionsLocked(patterns, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	r.shard.list(r.client, all, models.SubscribeOptions{Overflow: overflow})
}

// replay subscribes from the present on, which the client has caught up with as soon as
// its connection takes something.
func (r *rig) replay(pattern models.Pattern) {
	r.t.Helper()
	all, _, err := r.client.addSubscriptionsLocked([]models.Pattern{pattern}, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	r.shard.list(r.client, all, models.SubscribeOptions{})
	present := models.ID{Epoch: "e", Sequence: r.last}
	r.shard.startReplay(newReplay(r.client, models.Ack{}, beginning{after: present}), all, present)
}

func (r *rig) unsubscribe(patterns ...models.Pattern) {
	r.t.Helper()
	removed, err := r.client.removeSubscriptionsLocked(patterns)
	if err != nil {
		r.t.Fatal(err)
	}
	r.shard.unlist(r.client, removed)
}

// publish delivers a message whose frame has at least that size.
func (r *rig) publish(topic models.Topic, size int) {
	r.t.Helper()
	r.last++
	m := &models.Message{
		ID:    models.ID{Epoch: "e", Sequence: r.last},
		Topic: topic,
		Data:  bytes.Repeat([]byte("."), size),
	}
	if err := r.shard.budget.take(r.t.Context(), Batch{Messages: []*models.Message{m}}); err != nil {
		r.t.Fatal(err)
	}
	d := &delivery{message: m}
	d.waiting.Store(1)
	r.shard.deliver(d)
}

// pong sends a frame of the client's own.
func (r *rig) pong() { r.shard.send(r.client, models.NewPong(nil)) }

// flush lets the connection take some bytes more.
func (r *rig) flush(n int) {
	r.conn.open(n)
	r.shard.flushRound()
}

// frames gives what the connection has taken since the last call, in full frames.
func (r *rig) frames() []string {
	var frames []string
	for {
		text, rest, found := bytes.Cut(r.conn.taken.Bytes(), []byte("\n"))
		if !found {
			return frames
		}
		frames = append(frames, string(bytes.TrimRight(text, ".")))
		r.conn.taken.Next(r.conn.taken.Len() - len(rest))
	}
}

// check looks for what must always hold.
func (r *rig) check() {
	r.t.Helper()
	o := &r.client.outbox
	if queued := r.client.Info().QueuedBytes; r.client.blocked && queued != int64(o.size) {
		r.t.Fatalf("%d bytes are said to wait, and %d do", queued, o.size)
	}
	const begun = 200 // a notice counts from when it is partly written
	if o.cost() > r.shard.outboxSize+begun && r.client.closing == 0 {
		r.t.Fatalf("the outbox costs %d, of %d", o.cost(), r.shard.outboxSize)
	}
	if o.empty() {
		if o.ledger != nil || o.size != 0 {
			r.t.Fatalf("empty, with ledger %v and size %d", o.ledger, o.size)
		}
		for _, l := range r.shard.memory.ledgers {
			if l.holes != 0 || l.notices != 0 || l.noticeBytes != 0 || len(l.latest) != 0 {
				r.t.Fatalf("given back with something in it: %+v", l)
			}
		}
		return
	}
	if o.frames[o.first].kind == hole {
		r.t.Fatal("the head is a hole")
	}
	holes, latests, cost, told := 0, 0, -o.written, make(map[*subscription]bool)
	for i, f := range o.frames[o.first:] {
		switch i += o.first; f.kind {
		case kept, dropOldest:
			cost += f.cost()
		case hole:
			holes++
		case notice:
			if told[f.account] || f.account.notice != i || f.account.dropped == 0 {
				r.t.Fatalf("notice %d of %d frames: %+v", i, len(o.frames), f.account)
			}
			told[f.account] = true
		case latest:
			latests++
			cost += f.cost()
			if at, found := o.ledger.latest[f.payload.topic]; !found || at != i {
				r.t.Fatalf("the latest of %s is %d, want %d", f.payload.topic, at, i)
			}
		}
	}
	if cost != o.cost() {
		r.t.Fatalf("the outbox costs %d, and says %d", cost, o.cost())
	}
	if o.ledger == nil {
		return
	}
	if len(told) != o.ledger.notices || holes != o.ledger.holes || latests != len(o.ledger.latest) {
		r.t.Fatalf("%d holes, %d latest frames: ledger %+v", holes, latests, o.ledger)
	}
	if gone := o.first + holes; gone > maxGone && gone > len(o.frames)/2 {
		r.t.Fatalf("%d of %d slots are empty", gone, len(o.frames))
	}
}

// valve is a Conn that takes as many bytes as it was opened for.
type valve struct {
	taken bytes.Buffer
	left  int
	room  func()
	// writes counts the calls of Write.
	writes int
}

func (v *valve) Format() models.Format { return shortFormat{} }

func (v *valve) Write(b []byte, room func()) (int, error) {
	v.writes++
	n := min(len(b), v.left)
	v.left -= n
	v.taken.Write(b[:n])
	if n < len(b) {
		v.room = room
	}
	return n, nil
}

func (v *valve) Close(models.CloseCode) {}

// open lets more bytes through, and says so.
func (v *valve) open(n int) {
	v.left += n
	if room := v.room; room != nil && v.left > 0 {
		v.room = nil
		room()
	}
}

// shortFormat is a wire format that is easy to read: a1 is the message 1 of the topic a,
// with its data behind it.
type shortFormat struct{}

func (shortFormat) Message(m *models.Message) []byte {
	return fmt.Appendf(nil, "%s%d%s\n", m.Topic, m.ID.Sequence, m.Data)
}

func (shortFormat) Event(f models.ServerFrame) []byte {
	switch f := f.(type) {
	case models.Notice:
		return fmt.Appendf(nil, "%s %s %d\n", f.Code, f.Topic, f.Count)
	case models.Pong:
		return []byte("pong\n")
	default:
		return fmt.Appendf(nil, "%T\n", f)
	}
}

func (shortFormat) Heartbeat(models.ID) []byte { return []byte("ping\n") }

func (shortFormat) Close(code models.CloseCode) []byte {
	return fmt.Appendf(nil, "close %d\n", code)
}
