package natsengine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"fanfare/broker"
	"fanfare/models"
)

const (
	// watchInterval is how often the state of the stream is looked at.
	watchInterval = time.Second
	// maxFailures is how many of these looks may fail before the connection tries another server.
	maxFailures = 4
)

// Engine is the broker.Engine on a JetStream stream.
type Engine struct {
	// Set by New, never changed.
	options Options
	node    string
	server  *embeddedServer // nil with a cluster
	conn    *nats.Conn
	voice   *nats.Conn // publishes to topics
	// Set by New, never changed once Start has been called.
	codec codec
	sink  broker.Sink

	// Safe for concurrent use.
	trouble trouble
	guard   guard
	// anchored is the number of the newest anchor.
	anchored atomic.Int64
	follower *follower
	barrier  barrier
	// answered and delivered are the newest messages that were.
	answered, delivered witness
	// epoch is that of the log, as far as is known.
	epoch atomic.Pointer[string]
	// seen is the last state of the stream that anybody asked for.
	seen atomic.Pointer[sighting]
	// health is what the last look at the stream said.
	health atomic.Pointer[error]
	// link is that of the present connection, or of the last one.
	link atomic.Pointer[link]

	// kicked asks for a look at once. stop ends the watching, which watching waits for.
	kicked   chan struct{}
	stop     context.CancelFunc
	watching sync.WaitGroup
}

var _ broker.Engine = (*Engine)(nil)

// New connects, and prepares the stream: it is made if it is not there, and checked if it is. It waits 30 s
// for servers that are about to start, and no longer than ctx. Close must follow.
func New(ctx context.Context, options Options) (_ *Engine, err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	e := &Engine{
		options:  options,
		node:     host + "-" + uuid.NewString()[:8],
		trouble:  trouble{logger: options.Logger},
		kicked:   make(chan struct{}, 1),
		follower: newFollower(),
	}
	e.follower.engine = e
	e.setHealth(nil)
	e.link.Store(newLink())
	if options.embedded() {
		if e.server, err = startServer(options); err != nil {
			return nil, err
		}
		e.guard.watch(e.server, options)
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.free())
	}
	return e, nil
}

// open connects and prepares what is there.
func (e *Engine) open(ctx context.Context) error {
	if err := e.await(ctx, "cannot connect to NATS", func(context.Context) error { return e.connect() }); err != nil {
		return err
	}
	if err := e.await(ctx, "cannot prepare the stream", e.prepareStream); err != nil {
		return err
	}
	if e.server != nil {
		if err := e.beginLife(ctx); err != nil {
			return err
		}
	}
	return e.await(ctx, "cannot use the stream", e.begin)
}

// begin finds out what the log is, and puts the first message into it.
func (e *Engine) begin(ctx context.Context) error {
	s, err := e.state(ctx, "")
	if err != nil {
		return err
	}
	maxData := min(e.options.MessageSize, int(e.conn.MaxPayload())-headerSpace)
	switch {
	case maxData <= 0:
		return fmt.Errorf("the NATS servers take messages of at most %d bytes: raise their max_payload", e.conn.MaxPayload())
	case maxData < e.options.MessageSize:
		e.options.Logger.Info("message_size_bounded", "wanted", e.options.MessageSize, "bytes", maxData, "max_payload", e.conn.MaxPayload())
	}
	e.codec = codec{
		signer:  signer{e.key()},
		prefix:  e.options.Prefix + ".",
		maxData: maxData,
		skew:    s.window / 2,
		stream:  e.options.Stream,
	}
	if err := e.anchor(ctx); err != nil && e.guard.check() == nil {
		return err
	}
	e.link.Load().verified.Store(true) // there is nothing yet that it would have to have
	return nil
}

// beginLife begins a new epoch if the last life of the store may have lost what it had answered.
func (e *Engine) beginLife(ctx context.Context) error {
	if e.server.store.torn {
		s, err := e.state(ctx, "")
		if err != nil {
			return err
		}
		if err := e.beginEpoch(ctx, s.epoch, "the machine stopped while the log was open, without nats.sync: always"); err != nil {
			return err
		}
	}
	return e.tend(ctx)
}

// tend opens the log of the server in this process for messages, or closes it if it cannot be written to.
func (e *Engine) tend(ctx context.Context) error {
	broken := e.server.broken()
	if broken != nil {
		e.guard.close(broken)
	}
	if isOpen, hasRoom := e.guard.isOpen(); isOpen || !hasRoom {
		return nil
	}
	// The store has to say that messages are answered from now on, and shows that it can be written to.
	if err := e.server.store.begin(e.options.SyncAlways); err != nil {
		return explain("nats.store_dir cannot be written to", err)
	}
	if broken != nil {
		if err := e.server.revive(); err != nil {
			return explain("the log cannot be opened again", err)
		}
		e.follower.restart(errors.New("the log was opened again"))
	}
	s, err := e.state(ctx, "")
	if err != nil {
		return err
	}
	if err := e.verify(ctx, s); err != nil {
		return err
	}
	e.guard.open()
	return nil
}

// key is what signs: the secret that all nodes have, or that of the store, or else what anybody can know.
func (e *Engine) key() []byte {
	secret := "stream " + e.options.Stream
	switch {
	case e.options.Secret != "":
		secret = "secret " + e.options.Secret
	case e.server != nil:
		secret = "store " + e.server.store.record.Secret
	}
	key := sha256.Sum256([]byte(secret))
	return key[:]
}

// MaxMessageSize is how large a message's data may be, in bytes: as the options say, or less if the servers
// take less.
func (e *Engine) MaxMessageSize() int { return e.codec.maxData }

// GuestURL is where other NATS clients find the server in this process, empty if no port is open.
func (e *Engine) GuestURL() string {
	if e.server == nil || e.options.Listen == "" {
		return ""
	}
	return e.server.server.ClientURL()
}

// Start implements broker.Engine.
func (e *Engine) Start(_ context.Context, sink broker.Sink) error {
	e.sink = sink
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	e.watching.Go(func() { e.watch(ctx) })
	if e.server != nil {
		e.watching.Go(func() { e.guard.run(ctx) })
	}
	return nil
}

// Position implements broker.Engine.
func (e *Engine) Position(ctx context.Context) (models.ID, error) {
	s, err := e.state(ctx, "")
	if err != nil {
		return models.ID{}, e.unavailable("position", err)
	}
	return s.id(s.last), nil
}

// Ready implements broker.Engine. It tells what was found within the last second.
func (e *Engine) Ready(context.Context) error {
	if !e.link.Load().isGood() {
		return errAway()
	}
	if err := e.guard.check(); err != nil {
		return err
	}
	return *e.health.Load()
}

func (e *Engine) setHealth(err error) { e.health.Store(&err) }

// Follow implements broker.Engine.
func (e *Engine) Follow(ctx context.Context) (models.ID, error) {
	s, err := e.state(ctx, "")
	if err != nil {
		return models.ID{}, e.unavailable("follow", err)
	}
	e.follower.start(ctx, s.id(s.last))
	return s.id(s.last), nil
}

// Rest implements broker.Engine.
func (e *Engine) Rest() { e.follower.stop() }

// Close implements broker.Engine.
func (e *Engine) Close() error {
	e.follower.stop()
	if e.stop != nil {
		e.stop()
	}
	e.watching.Wait()
	return e.free()
}

// free gives back what New has taken.
func (e *Engine) free() error {
	for _, conn := range []*nats.Conn{e.voice, e.conn} {
		if conn != nil {
			conn.Close()
		}
	}
	if e.server != nil {
		return e.server.close()
	}
	return nil
}

// kick has the stream looked at soon.
func (e *Engine) kick() {
	select {
	case e.kicked <- struct{}{}:
	default:
	}
}

// watch looks after the log once a second: whether it is there, and whether delivery gets on.
func (e *Engine) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	failures := 0
	for {
		err := e.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
			e.setHealth(nil)
			e.trouble.over()
		default:
			failures++
			e.setHealth(e.unavailable("watching", err))
			if failures%maxFailures == 0 && e.server == nil && e.link.Load().isUp() {
				// This server answers, and has no leader to ask. Another may.
				_ = e.conn.ForceReconnect()
			}
		}
		select {
		case <-ticker.C:
		case <-e.kicked:
		case <-ctx.Done():
			return
		}
	}
}

func (e *Engine) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*watchInterval)
	defer cancel()
	var tended error
	if e.server != nil {
		tended = e.tend(ctx)
	}
	link, was := e.link.Load(), e.follower.place()
	s, err := e.state(ctx, "")
	if isCode(err, errCodeNoStream) {
		// Somebody has removed it. Without one nothing goes on, and there is nothing left to destroy.
		e.options.Logger.Warn("stream_gone", "stream", e.options.Stream)
		if err := e.prepareStream(ctx); err != nil {
			return err
		}
		s, err = e.state(ctx, "")
	}
	if err != nil {
		return err
	}
	if !link.verified.Load() {
		if err := e.verify(ctx, s); err != nil {
			return err
		}
		link.verified.Store(true)
	}
	e.follower.check(was, s)
	if refusal := e.guard.check(); tended != nil || refusal != nil {
		return cmp.Or(tended, refusal)
	}
	return e.anchor(ctx)
}
