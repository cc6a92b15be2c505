package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	fanfare "fanfare/clients/go"
)

type connectStep struct {
	Client string
	Token  *struct {
		Subscribe, Publish []string
		Expires            int
		Fixed, Forged      bool
	}
	Fails fanfare.Code
}

func (s *connectStep) do(ctx context.Context, w *world) (err error) {
	a := &actor{}
	options := fanfare.Options{OnConnect: a.connected}
	if s.Token != nil {
		mint := func() string {
			a.tokens.add()
			key := signingKey
			if s.Token.Forged {
				key = "another key, which the server does not have"
			}
			grant := map[string]any{"publish": s.Token.Publish, "subscribe": s.Token.Subscribe}
			return sign(key, time.Duration(s.Token.Expires)*time.Second, grant)
		}
		if s.Token.Fixed {
			options.Token = mint()
		} else {
			options.TokenSource = func(context.Context) (string, error) { return mint(), nil }
		}
	}
	a.client, err = fanfare.Connect("http://"+w.way.Address(), options)
	if err != nil {
		return err
	}
	w.clients[s.Client] = a
	if s.Fails != "" {
		return awaitEnd(ctx, a.client, s.Fails)
	}
	return a.connections.await(ctx, 1)
}

// awaitEnd waits until a client has ended with a code.
func awaitEnd(ctx context.Context, c *fanfare.Client, want fanfare.Code) error {
	select {
	case <-c.Done():
		return check(c.Err(), want)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check tells when an error has another code.
func check(err error, want fanfare.Code) error {
	if e, ok := errors.AsType[*fanfare.Error](err); !ok || e.Code != want {
		return fmt.Errorf("the error is %w, not one with %s", err, want)
	}
	return nil
}

type subscribeStep struct {
	Client   string
	As       string
	Topics   []string
	Since    string
	Last     int
	Overflow fanfare.Overflow
	Buffer   int
	Fails    fanfare.Code
}

func (s *subscribeStep) do(ctx context.Context, w *world) error {
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	subscription, err := a.client.Subscribe(ctx, fanfare.SubscribeOptions{
		Topics: s.Topics, Since: s.Since, Last: s.Last, Overflow: s.Overflow, Buffer: s.Buffer,
	})
	if s.Fails != "" {
		return check(err, s.Fails)
	}
	if err != nil {
		return err
	}
	l := &listener{actor: a, subscription: subscription, messages: make(chan heard)}
	w.subscriptions[s.As] = l
	w.reading.Go(func() { l.read(a.client.Done()) })
	return nil
}

type unsubscribeStep struct{ Subscription string }

func (s *unsubscribeStep) do(_ context.Context, w *world) error {
	l, err := w.subscription(s.Subscription)
	if err != nil {
		return err
	}
	l.subscription.Close()
	return nil
}

type publishStep struct {
	Client   string
	Topic    string
	From, To int
	Fails    fanfare.Code
}

func (s *publishStep) do(ctx context.Context, w *world) error {
	if s.Client == "" {
		return w.publish(ctx, s.Topic, s.From, s.To)
	}
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	for n := s.From; n <= s.To; n++ {
		receipt, err := a.client.Publish(ctx, s.Topic, n)
		if s.Fails != "" {
			err = check(err, s.Fails)
		}
		if err != nil {
			return fmt.Errorf("publishing %d: %w", n, err)
		}
		if receipt.Duplicate {
			return fmt.Errorf("%d is a duplicate", n)
		}
	}
	return nil
}

type receiveStep struct {
	Subscription string
	From, To     int
}

func (s *receiveStep) do(ctx context.Context, w *world) error {
	l, err := w.subscription(s.Subscription)
	if err != nil {
		return err
	}
	return l.receive(ctx, s.From, s.To)
}

type newestStep struct {
	Subscription string
	To           int
}

func (s *newestStep) do(ctx context.Context, w *world) error {
	l, err := w.subscription(s.Subscription)
	if err != nil {
		return err
	}
	for last := 0; last != s.To; {
		got, err := l.next(ctx)
		if err != nil {
			return fmt.Errorf("after %d: %w", last, err)
		}
		if got <= last || got > s.To {
			return fmt.Errorf("%d came after %d", got, last)
		}
		last = got
	}
	return nil
}

type lostStep struct{ Subscription string }

func (s *lostStep) do(ctx context.Context, w *world) error {
	l, err := w.subscription(s.Subscription)
	if err != nil {
		return err
	}
	l.waited++
	return l.lost.await(ctx, l.waited)
}

type stormStep struct {
	Subscriptions []string
	Client        string
	Topic         string
	From, To      int
	Published     int
	Cuts          int
}

func (s *stormStep) do(ctx context.Context, w *world) error {
	seed := rand.Uint64() //nolint:gosec // to spread
	w.t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // to repeat it
	cuts := make([]int, s.Cuts)              // behind which numbers, one in each stretch of the same length
	stretch := (s.To - s.From) / s.Cuts
	for i := range cuts {
		cuts[i] = s.From + i*stretch + random.IntN(stretch)
	}

	storm, ctx := errgroup.WithContext(ctx)
	storm.Go(func() error { return s.publish(ctx, w) })
	for i, name := range s.Subscriptions {
		l, err := w.subscription(name)
		if err != nil {
			return err
		}
		storm.Go(func() error {
			from := s.From
			if i == 0 {
				connections := l.actor.connections.get()
				for j, cut := range cuts {
					if err := l.receive(ctx, from, cut); err != nil {
						return err
					}
					if err := l.actor.connections.await(ctx, connections+j); err != nil { // so that there is something to cut
						return err
					}
					w.way.Cut()
					from = cut + 1
				}
			}
			return l.receive(ctx, from, s.To)
		})
	}
	return storm.Wait()
}

// publish publishes what is not published yet, by the client or in small batches.
func (s *stormStep) publish(ctx context.Context, w *world) error {
	from := max(s.From, s.Published+1)
	if s.Client != "" {
		return (&publishStep{Client: s.Client, Topic: s.Topic, From: from, To: s.To}).do(ctx, w)
	}
	const batch = 100
	for ; from <= s.To; from += batch {
		if err := w.publish(ctx, s.Topic, from, min(from+batch-1, s.To)); err != nil {
			return err
		}
	}
	return nil
}

type (
	cutStep     struct{}
	blockStep   struct{}
	unblockStep struct{}
	freezeStep  struct{}
	thawStep    struct{ New bool }
	restartStep struct{}
)

func (*cutStep) do(_ context.Context, w *world) error {
	w.way.Cut()
	return nil
}

func (*blockStep) do(_ context.Context, w *world) error {
	w.way.Block()
	return nil
}

func (*unblockStep) do(_ context.Context, w *world) error {
	w.way.Unblock()
	return nil
}

func (*freezeStep) do(_ context.Context, w *world) error {
	w.way.Freeze()
	return nil
}

func (s *thawStep) do(_ context.Context, w *world) error {
	if s.New {
		w.way.ThawNew()
	} else {
		w.way.Thaw()
	}
	return nil
}

func (*restartStep) do(_ context.Context, w *world) error {
	w.server.stop()
	w.server = startProcess(w.t, w.dir, w.environ)
	w.way.Lead(w.server.address)
	return nil
}

type purgeStep struct{ Topic string }

func (s *purgeStep) do(ctx context.Context, w *world) error {
	_, err := w.ask(ctx, http.MethodDelete, "/topics/"+s.Topic+"/messages", nil)
	return err
}

type disconnectStep struct{ Client string }

func (s *disconnectStep) do(ctx context.Context, w *world) error {
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err = w.ask(ctx, http.MethodDelete, "/clients/"+a.id, nil)
	return err
}

type connectionsStep struct {
	Client string
	Times  int
}

func (s *connectionsStep) do(ctx context.Context, w *world) error {
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	return a.connections.await(ctx, s.Times)
}

type tokensStep struct {
	Client string
	Times  int
}

func (s *tokensStep) do(ctx context.Context, w *world) error {
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	return a.tokens.await(ctx, s.Times)
}

type closesStep struct{ Code int }

func (s *closesStep) do(ctx context.Context, w *world) error {
	const pause = 50 * time.Millisecond // nobody tells when a counter counts
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		text, err := w.ask(ctx, http.MethodGet, "/metrics", nil)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "client_closes_total{") && strings.Contains(line, `code="`+strconv.Itoa(s.Code)+`"`) &&
				!strings.HasSuffix(strings.TrimSpace(line), " 0") {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type endsStep struct {
	Client string
	Code   fanfare.Code
}

func (s *endsStep) do(ctx context.Context, w *world) error {
	a, err := w.client(s.Client)
	if err != nil {
		return err
	}
	if err := awaitEnd(ctx, a.client, s.Code); err != nil {
		return err
	}
	for name, l := range w.subscriptions {
		if l.actor != a {
			continue
		}
		if got, err := l.next(ctx); err == nil {
			return fmt.Errorf("%s has got %d more", name, got)
		}
		if err := check(l.ended, s.Code); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
