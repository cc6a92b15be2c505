package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// TestCloseDeliversWhatWasAnswered: publishers publish until they are told to stop;
// then every message that was answered has come, and after it the close frame.
func TestCloseDeliversWhatWasAnswered(t *testing.T) {
	engines := map[string]broker.Engine{
		"memory": broker.NewMemory(enginetest.Generous()),
		"unruly": enginetest.NewUnruly(5, enginetest.Generous()),
	}
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			options := defaults()
			options.MessageSize = 1 << 10
			options.InFlightSize = 64 << 10
			p, err := broker.New(t.Context(), engine, options)
			if err != nil {
				t.Fatal(err)
			}
			s := &service{p, t}
			var conns []*pipe
			for range 20 {
				_, conn := s.join("a")
				conns = append(conns, conn)
			}
			var publishing sync.WaitGroup
			var mu sync.Mutex
			answered := make(map[models.ID]bool)
			enough := make(chan struct{})
			for range 4 {
				publishing.Go(func() {
					for {
						receipt, err := p.Publish(t.Context(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("1")})
						if err != nil {
							if models.AsError(err).Code != models.CodeShuttingDown {
								t.Errorf("publish during the shutdown: %v", err)
							}
							return
						}
						mu.Lock()
						if answered[receipt.ID] = true; len(answered) == 500 {
							close(enough)
						}
						mu.Unlock()
					}
				})
			}
			<-enough
			ctx, cancel := context.WithTimeout(t.Context(), minute)
			defer cancel()
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			publishing.Wait()
			for _, conn := range conns {
				got := 0
				for l := conn.next(); l.Type != "close"; l = conn.next() {
					if answered[l.ID] {
						got++
					}
				}
				if got != len(answered) || conn.closed != models.CloseGoingAway {
					t.Errorf("%d of %d answered messages came before the close for %v", got, len(answered), conn.closed)
				}
			}
			conn := newPipe(t)
			if _, err := p.AddClient(t.Context(), models.Caller{}, conn, models.Connection{}); models.AsError(err).Code != models.CodeShuttingDown {
				t.Errorf("a client after the close: %v", err)
			}
			if err := p.Ready(t.Context()); models.AsError(err).Code != models.CodeShuttingDown {
				t.Errorf("ready after the close: %v", err)
			}
		})
	}
}

// TestCloseDoesNotWaitForever: a client whose owner does not remove it holds up the
// close only as long as its context allows.
func TestCloseDoesNotWaitForever(t *testing.T) {
	p, err := broker.New(t.Context(), broker.NewMemory(enginetest.Generous()), defaults())
	if err != nil {
		t.Fatal(err)
	}
	conn := newPipe(t)
	c, err := p.AddClient(t.Context(), models.Caller{}, conn, models.Connection{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	// The owner comes late, and everything ends all the same.
	if reason := p.RemoveClient(c, models.CloseAbnormal); reason != models.CloseGoingAway {
		t.Errorf("removed for %v", reason)
	}
}

// TestCloseWithoutTheEngine: an engine that is away is not waited for.
func TestCloseWithoutTheEngine(t *testing.T) {
	engine := enginetest.NewUnruly(6, enginetest.Generous())
	p, err := broker.New(t.Context(), engine, defaults())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{p, t}
	_, conn := s.join("a")
	engine.GoAway()
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	conn.want("close")
}

// TestCloseDoesNotWaitForThePublisher: one that the engine does not answer holds up the
// close only as long as its context allows, and nobody else at all.
func TestCloseDoesNotWaitForThePublisher(t *testing.T) {
	engine := &stuckEngine{Memory: broker.NewMemory(enginetest.Generous()), entered: make(chan struct{}), release: make(chan struct{})}
	p, err := broker.New(t.Context(), engine, defaults())
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error)
	go func() {
		_, err := p.Publish(context.Background(), models.Caller{}, models.Draft{Topic: "a", Data: []byte("1")})
		answered <- err
	}()
	<-engine.entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	if err := p.Ready(t.Context()); models.AsError(err).Code != models.CodeShuttingDown {
		t.Errorf("ready meanwhile: %v", err)
	}
	close(engine.release)
	if err := <-answered; err != nil {
		t.Errorf("publish: %v", err)
	}
}

// stuckEngine does not answer a publish until it is released.
type stuckEngine struct {
	*broker.Memory
	entered, release chan struct{}
}

func (e *stuckEngine) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	close(e.entered)
	<-e.release
	return e.Memory.Publish(ctx, draft)
}

// TestCloseAfterAnIdleEpoch: a log that began anew and brought nothing since costs the
// shutdown some of its time, and the clients get theirs.
func TestCloseAfterAnIdleEpoch(t *testing.T) {
	engine := enginetest.NewUnruly(8, enginetest.Generous())
	p, err := broker.New(t.Context(), engine, defaults())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{p, t}
	_, conn := s.join("a")
	if err := engine.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("close: %v", err)
	}
	conn.want("close")
}

// TestDeliveryMayBeginEarly: an engine may deliver before Start has returned, and the
// position does not move back.
func TestDeliveryMayBeginEarly(t *testing.T) {
	s := startOver(t, &eagerEngine{Memory: broker.NewMemory(enginetest.Generous())}, defaults())
	conn := newPipe(t)
	c := s.connect(conn)
	conn.want("welcome")
	s.subscribe(c, "a")
	if ack := conn.want("ack"); ack.ID.Sequence != 1 {
		t.Errorf("position %v, although the first message was delivered", ack.ID)
	}
}

// eagerEngine delivers a message while it begins to.
type eagerEngine struct{ *broker.Memory }

func (e *eagerEngine) Follow(ctx context.Context) (models.ID, error) {
	position, err := e.Memory.Follow(ctx)
	if err == nil {
		_, err = e.Publish(ctx, models.Draft{Topic: "a", Data: []byte("1")})
	}
	return position, err
}
