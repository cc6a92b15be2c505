package natsengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"golang.org/x/time/rate"

	"fanfare/broker"
	"fanfare/models"
)

const (
	// followPause is how long a follower rests that could not go on.
	followPause = 250 * time.Millisecond
	// heartbeat is how often a consumer says that it lives, when it has nothing else to say, and
	// maxSilence how long it may say nothing.
	heartbeat  = 500 * time.Millisecond
	maxSilence = 4 * heartbeat
	// maxBatch and maxBatchSize bound what is delivered at a time: messages, and bytes of payload.
	maxBatch     = 512
	maxBatchSize = 1 << 20
	// maxIncoming is how many messages may wait to be taken, 8 bytes each. Flow control has up to 32 MiB of
	// them under way.
	maxIncoming = 256 << 10
	// minPatience is how long a follower waits for its consumer, and morePatience how much longer each time
	// that it does not get one: JetStream gives one to a server that has been gone for a while, and does not
	// say so. The next may come to another.
	minPatience, morePatience = 500 * time.Millisecond, 250 * time.Millisecond
	// consumerLife is how long a consumer stays that nobody listens to.
	consumerLife = 10 * time.Second
)

// follower delivers the log from a place on: by an ordered consumer of its own, that of another stream
// leader when that has changed, and that from where it was when it has missed something. Its methods may
// be called concurrently, but for start and stop.
type follower struct {
	engine *Engine // set before it is used, never changed
	// skipped logs now and then what cannot be delivered.
	skipped rate.Sometimes

	// Of the one that runs, set by start.
	stopping context.CancelFunc
	stopped  chan struct{}
	// tried says that its first consumer is there, or could not be had.
	tried func()

	mu sync.Mutex
	// at is the place up to which everything was delivered.
	at models.ID
	// again has the follower begin again from where it is.
	again context.CancelCauseFunc
	// behind is where it was when it was found behind.
	behind  models.ID
	waiting bool // for a consumer, or for room to deliver
}

func newFollower() *follower { return &follower{skipped: rate.Sometimes{Interval: time.Minute}} }

// start follows the log after a place. It returns when a consumer is there, or could not be had yet.
func (f *follower) start(ctx context.Context, after models.ID) {
	life, cancel := context.WithCancel(context.Background())
	f.mu.Lock()
	f.at, f.behind = after, models.ID{}
	f.mu.Unlock()
	f.stopping, f.stopped = cancel, make(chan struct{})
	tried := make(chan struct{})
	f.tried = sync.OnceFunc(func() { close(tried) })
	go f.run(life, f.stopped)
	select {
	case <-tried:
	case <-ctx.Done():
	}
}

// stop returns when nothing is delivered any more.
func (f *follower) stop() {
	if f.stopping != nil {
		f.stopping()
		<-f.stopped
		f.stopping = nil
	}
}

// restart has it begin again from where it is, if it runs.
func (f *follower) restart(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.again != nil {
		f.again(why)
	}
}

// place is the one up to which everything was delivered.
func (f *follower) place() models.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// check looks whether it gets on, in the light of the stream's state, which is younger than a place where it
// was. Whatever it is that it may have missed, a new consumer has it.
func (f *follower) check(was models.ID, s state) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.again == nil || f.waiting:
		return
	case was.Epoch == f.at.Epoch && (was.Epoch != s.epoch || was.Sequence > s.last):
		f.again(errAnother())
	case f.at.Sequence >= s.last:
		f.behind = models.ID{}
	case f.behind != f.at:
		f.behind = f.at
	default:
		f.behind = models.ID{}
		f.again(errors.New("it has stood still"))
	}
}

func (f *follower) run(ctx context.Context, stopped chan<- struct{}) {
	defer close(stopped)
	for patience := minPatience; ; {
		life, again := context.WithCancelCause(ctx)
		f.mu.Lock()
		f.again = again
		f.mu.Unlock()
		found, err := f.follow(life, patience)
		f.tried()
		if patience = min(patience+morePatience, f.engine.options.PublishWait); found {
			patience = minPatience
		}
		f.mu.Lock()
		f.again = nil
		f.mu.Unlock()
		if cause := context.Cause(life); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		again(nil)
		if ctx.Err() != nil {
			return
		}
		f.engine.options.Logger.Debug("follower_restarts", "error", err)
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
			return
		}
	}
}

// follow follows until something is wrong. Found tells whether it had a consumer.
func (f *follower) follow(ctx context.Context, patience time.Duration) (found bool, err error) {
	e := f.engine
	if !e.link.Load().isUp() {
		return false, nats.ErrDisconnected
	}
	inbox, err := e.openInbox(maxIncoming)
	if err != nil {
		return false, err
	}
	defer inbox.close()
	name := "fanfare-" + nuid.Next()
	defer func() { _ = e.conn.Publish("$JS.API.CONSUMER.DELETE."+e.options.Stream+"."+name, nil) }()
	at, err := f.begin(ctx, patience, name, inbox.subject)
	if err != nil {
		return false, err
	}
	f.tried()
	return true, f.listen(ctx, inbox, at)
}

// begin finds the place to go on from, and makes a consumer.
func (f *follower) begin(ctx context.Context, patience time.Duration, name, inbox string) (at models.ID, err error) {
	f.setWaiting(true)
	defer f.setWaiting(false)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if at, err = f.locate(ctx); err != nil {
		return at, err
	}
	return at, explain("the consumer cannot be made", f.engine.createConsumer(ctx, name, inbox, at.Sequence+1))
}

// listen takes what comes from a consumer of everything after a place.
func (f *follower) listen(ctx context.Context, inbox inbox, at models.ID) error {
	run := &following{follower: f, epoch: at.Epoch, reached: at.Sequence}
	for {
		m, err := inbox.next(ctx, maxSilence)
		if err != nil {
			return explain("the consumer is silent", err)
		}
		for ; m != nil; m = inbox.waiting() {
			if err := run.take(ctx, m); err != nil {
				return err
			}
			if run.isFull() {
				break
			}
		}
		if err := run.flush(ctx); err != nil {
			return err
		}
	}
}

// locate gives the place to go on from: where it was, or where the log of another life begins.
func (f *follower) locate(ctx context.Context) (models.ID, error) {
	e := f.engine
	s, err := e.state(ctx, "")
	if err != nil {
		return models.ID{}, err
	}
	at := f.place()
	if at.Epoch != s.epoch {
		return f.move(s.id(s.begin)), nil
	}
	if err := e.verify(ctx, s); err != nil || at.Sequence == s.last {
		return at, err
	}
	_, found, err := e.leaderMessage(ctx, map[string]any{"seq": at.Sequence + 1, "next_by_subj": ">"})
	if err == nil && !found {
		// All of it was removed, or a server answers that does not lead any more. Behind a probe there is
		// something to be delivered, and the gap with it.
		_, err = e.probe(ctx)
	}
	return at, err
}

// move goes on where another life of the log begins.
func (f *follower) move(to models.ID) models.ID {
	f.engine.sink.Deliver(broker.Batch{Reached: to})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = to
	return to
}

// createConsumer makes a consumer of everything from a sequence on, which pushes to an inbox. It keeps
// nothing that would have to survive: the follower knows where it is.
func (e *Engine) createConsumer(ctx context.Context, name, inbox string, from uint64) error {
	_, err := api[struct{}](ctx, e, "CONSUMER.CREATE."+e.options.Stream+"."+name, map[string]any{
		"stream_name": e.options.Stream,
		"config": map[string]any{
			"name":               name,
			"description":        "a node of Fanfare follows: " + e.node,
			"deliver_subject":    inbox,
			"deliver_policy":     "by_start_sequence",
			"opt_start_seq":      from,
			"ack_policy":         "none",
			"max_deliver":        1,
			"replay_policy":      "instant",
			"flow_control":       true,
			"idle_heartbeat":     heartbeat,
			"inactive_threshold": consumerLife,
			"num_replicas":       1,
			"mem_storage":        true,
		},
	})
	return err
}

// following is what comes from one consumer.
type following struct {
	follower *follower
	epoch    string
	// reached is the sequence of the last message of the stream that came, received how many came.
	reached, received uint64
	// newest is when that was stored.
	newest time.Time
	batch  broker.Batch
	size   int
	// credit is where the server has to be told that all so far was taken, so that it sends more.
	credit string
}

// take takes what has come. An error means that something is missing.
func (r *following) take(ctx context.Context, m *nats.Msg) error {
	if !strings.HasPrefix(m.Reply, "$JS.ACK.") {
		return r.takeStatus(ctx, m)
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if r.received++; meta.Sequence.Consumer != r.received {
		return fmt.Errorf("message %d came as number %d", meta.Sequence.Consumer, r.received)
	}
	sequence := meta.Sequence.Stream
	message, lost := r.follower.engine.codec.decode(stored{m.Subject, m.Header, m.Data, sequence, meta.Timestamp}, r.epoch)
	if lost || sequence != r.reached+1 {
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.batch.Gap = true // what is missing was removed before it came
	}
	r.reached, r.newest = sequence, meta.Timestamp
	switch {
	case message == nil && strings.HasPrefix(m.Subject, r.follower.engine.codec.prefix):
		r.follower.skipped.Do(func() {
			r.follower.engine.options.Logger.Warn("message_skipped", "subject", m.Subject, "sequence", sequence, "size", len(m.Data),
				"reason", "its subject is no topic, or its data are larger than limits.message_size")
		})
	case message != nil:
		r.batch.Messages = append(r.batch.Messages, message)
		r.size += message.Size()
	}
	r.batch.Reached = models.ID{Epoch: r.epoch, Sequence: sequence}
	return nil
}

// takeStatus takes what is no message: the consumer says that it lives, or waits for credit.
func (r *following) takeStatus(ctx context.Context, m *nats.Msg) error {
	if m.Header.Get("Status") != "100" {
		return fmt.Errorf("the consumer says: %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
	}
	r.credit = m.Reply
	if stalled := m.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		r.credit = stalled
	}
	if last := m.Header.Get("Nats-Last-Consumer"); last != "" && last != fmt.Sprint(r.received) {
		return fmt.Errorf("message %s has not come, after %d", last, r.received)
	}
	return r.flush(ctx)
}

func (r *following) isFull() bool {
	return len(r.batch.Messages) >= maxBatch || r.size >= maxBatchSize
}

// flush delivers what has come, and asks for more.
func (r *following) flush(ctx context.Context) error {
	if r.batch.Reached.Sequence > 0 {
		if err := r.follower.deliver(ctx, r.batch); err != nil {
			return err
		}
		r.follower.engine.delivered.saw(r.batch.Reached, r.newest, "")
		r.batch, r.size = broker.Batch{Messages: r.batch.Messages[:0]}, 0
	}
	if r.credit == "" {
		return nil
	}
	credit := r.credit
	r.credit = ""
	return r.follower.engine.conn.Publish(credit, nil)
}

// deliver waits for room, as long as that takes: it is not a publisher.
func (f *follower) deliver(ctx context.Context, batch broker.Batch) error {
	f.setWaiting(true)
	defer f.setWaiting(false)
	for {
		err := f.engine.sink.Admit(ctx, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	f.engine.sink.Deliver(batch)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = batch.Reached
	return nil
}

func (f *follower) setWaiting(waiting bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.behind = waiting, models.ID{}
}
