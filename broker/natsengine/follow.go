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

	// Of the one that runs, set by start.
	stopping context.CancelFunc
	stopped  chan struct{}
	// tried says that its first consumer is there, or could not be had.
	tried func()

	mu sync.Mutex
	// at is the place up to which everything was delivered, made when its stream was created.
	at      models.ID
	created time.Time
	// again has the follower begin again from where it is.
	again context.CancelCauseFunc
	// behind is where it was when it was found behind.
	behind  models.ID
	waiting bool // for a consumer, or for room to deliver
}

func newFollower() *follower { return &follower{} }

// start follows the log after a place. It returns when a consumer is there, or could not be had yet.
func (f *follower) start(ctx context.Context, after models.ID) {
	life, cancel := context.WithCancel(context.Background())
	f.mu.Lock()
	f.at, f.created, f.behind = after, time.Time{}, models.ID{}
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
		f.again(errors.New("the log is another"))
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
	inbox := e.conn.NewInbox()
	incoming, err := e.conn.SubscribeSync(inbox)
	if err != nil {
		return false, err
	}
	defer func() { _ = incoming.Unsubscribe() }()
	defer context.AfterFunc(ctx, func() { _ = incoming.Unsubscribe() })()
	name := "fanfare-" + nuid.Next()
	defer func() { _ = e.conn.Publish("$JS.API.CONSUMER.DELETE."+e.options.Stream+"."+name, nil) }()
	at, err := f.begin(ctx, patience, name, inbox)
	if err != nil {
		return false, err
	}
	f.tried()
	return true, f.listen(ctx, incoming, at)
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
func (f *follower) listen(ctx context.Context, incoming *nats.Subscription, at models.ID) error {
	run := &following{follower: f, epoch: at.Epoch, reached: at.Sequence}
	for {
		m, err := incoming.NextMsg(maxSilence)
		if err != nil {
			return explain("the consumer is silent", err)
		}
		for {
			if err := run.take(ctx, m); err != nil {
				return err
			}
			if waiting, _, err := incoming.Pending(); err != nil || waiting == 0 || run.isFull() {
				break
			}
			if m, err = incoming.NextMsg(maxSilence); err != nil {
				return err
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
	f.mu.Lock()
	at, created := f.at, f.created
	if f.created.IsZero() {
		f.created, created = s.created, s.created
	}
	f.mu.Unlock()
	switch {
	case at.Epoch != s.epoch && created.Equal(s.created):
		// The log goes on as another, since it had lost some of its end. What came of it since is missing.
		return f.move(s.id(s.last), s.created, true)
	case at.Epoch != s.epoch:
		return f.move(s.id(0), s.created, true)
	case at.Sequence > s.last:
		return models.ID{}, f.doubt(ctx, at)
	case at.Sequence == s.last:
		return at, nil
	}
	_, found, err := e.leaderMessage(ctx, map[string]any{"seq": at.Sequence + 1, "next_by_subj": ">"})
	if err == nil && !found {
		// All of it was removed, or a server answers that does not lead any more. Behind a probe there is
		// something to be delivered, and the gap with it.
		_, err = e.probe(ctx)
	}
	return at, err
}

// doubt is for a stream that seems not to have come to a place where everything was delivered.
func (f *follower) doubt(ctx context.Context, at models.ID) error {
	e := f.engine
	place, err := e.probe(ctx)
	if err != nil {
		return err
	}
	if place > at.Sequence {
		return errNoLeader
	}
	// The stream has lost its end, and is about to give its places to others.
	if err := e.beginEpoch(ctx, at.Epoch, "the stream has lost its newest messages"); err != nil {
		return err
	}
	return errors.New("the log is another")
}

// move goes on to a place with nothing to deliver.
func (f *follower) move(to models.ID, created time.Time, gap bool) (models.ID, error) {
	f.engine.sink.Deliver(broker.Batch{Gap: gap, Reached: to})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.created = to, created
	return to, nil
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
	batch             broker.Batch
	size              int
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
	if sequence != r.reached+1 {
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.batch.Gap = true // what is missing was removed before it came
	}
	r.reached = sequence
	message := r.follower.engine.codec.decode(stored{m.Subject, m.Header, m.Data, sequence, meta.Timestamp}, r.epoch)
	if message != nil {
		r.batch.Messages = append(r.batch.Messages, message)
		r.size += len(message.Data)
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
