package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// soakClients is how many come and go.
	soakClients = 20_000
	// soakPublishers is how many publish to them: every second one by HTTP.
	soakPublishers = 4
	// soakPeriod is the time between two messages of one topic, and soakMessages how many
	// there are at least: a short soak has shorter periods.
	soakPeriod   = time.Second
	soakMessages = 10
	// soakWindows is how many rows the table has.
	soakWindows = 10
	// soakAtATime is how many messages a publisher has under way.
	soakAtATime = 50
	// soakLate is how late a message may be for a client that is there.
	soakLate = 5 * time.Second
	// A client stays for up to twice soakStay, and is then away for up to twice soakAway: at any
	// one time five of six are connected.
	soakStay = 20 * time.Second
	soakAway = 4 * time.Second
)

// soak has clients of all transports come and go for a long time, each with a topic of its own that
// has a message a second, and shows what becomes of the server's memory meanwhile.
func (r *runner) soak(ctx context.Context) (err error) {
	clients := r.clients(soakClients)
	if err := checkFiles(clients*5/6 + soakPublishers); err != nil {
		return err
	}
	server, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	since, err := currentPosition(ctx, server.address)
	if err != nil {
		return err
	}
	s := newSoak(server.address, since, clients, r.options.Duration)
	t := &table{}
	t.add("until", "connected", "came back", "published", "delivered", "receipt after p50", "p99", "max", "server CPU", "RSS", "heap in use", "goroutines", "descriptors")
	all, allCtx := errgroup.WithContext(ctx)
	for _, v := range s.visitors {
		all.Go(func() error { return v.visit(allCtx) })
	}
	all.Go(func() error {
		defer s.over.Store(true)
		return s.publish(allCtx, r.options.dataSize())
	})
	all.Go(func() error { return s.watch(allCtx, server, t) })
	if err := all.Wait(); err != nil {
		return err
	}
	return r.print(t, fmt.Sprintf("%s clients, each with a topic of its own: 60 of 100 WebSocket, 20 SSE, 15 NDJSON, 5 long polls, another at each return; each stays %v and is away %v, on average; "+
		"in all %s messages and %s deliveries, %s of them live, each once and in its order; frames of about %d bytes; %s.",
		grouped(float64(clients)), s.stay.Round(time.Millisecond), s.away.Round(time.Millisecond), grouped(float64(s.published())), grouped(float64(s.delivered.Load())), grouped(float64(s.live.Load())), r.options.Size, s.drift()))
}

// soak is one run.
type soak struct {
	// Set by newSoak, never changed.
	address    string
	visitors   []*visitor
	topics     []*audience // each a publisher's
	duration   time.Duration
	stay, away time.Duration // on average

	over                                 atomic.Bool // nothing more is published
	connected, returned, delivered, live atomic.Int64

	mu      sync.Mutex // guards latencies
	window  *samples   // of the window that is under way
	figures []figures  // at the end of each window
}

func newSoak(address, since string, clients int, duration time.Duration) *soak {
	s := &soak{
		address:  address,
		duration: duration,
		stay:     min(soakStay, duration/10),
		away:     min(soakAway, duration/50),
		window:   newSamples(maxSamples),
	}
	for range min(soakPublishers, clients) {
		s.topics = append(s.topics, &audience{})
	}
	for i := range clients {
		to := &topic{name: fmt.Sprintf("soak.%d", i)}
		of := s.topics[i%len(s.topics)]
		of.topics = append(of.topics, to)
		s.visitors = append(s.visitors, &visitor{soak: s, index: i, topic: to, cursor: since})
	}
	return s
}

// publish publishes to all topics, once a period each.
func (s *soak) publish(ctx context.Context, dataSize int) error {
	for int(s.connected.Load()) < len(s.visitors)/2 {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	period := min(soakPeriod, s.duration/soakMessages)
	publishing, ctx := errgroup.WithContext(ctx)
	for i, a := range s.topics {
		publishing.Go(func() error {
			dial := dialWebSocketPost
			if i%2 == 1 {
				dial = dialHTTPPost
			}
			post, err := dial(ctx, s.address)
			if err != nil {
				return err
			}
			defer post.close()
			p := newPublisher(i, a, post, dataSize)
			count := int(s.duration / period)
			slices := (len(a.topics) + soakAtATime - 1) / soakAtATime
			return pace(ctx, float64(slices)/period.Seconds(), count*slices, func() error {
				return p.publish(ctx, min(soakAtATime, len(a.topics)-int(p.published)%len(a.topics)))
			})
		})
	}
	return publishing.Wait()
}

func (s *soak) published() (count int64) {
	for _, a := range s.topics {
		count += a.published()
	}
	return count
}

// watch adds a row to the table for each window.
func (s *soak) watch(ctx context.Context, server *server, t *table) error {
	begin := time.Now()
	before, err := server.figures(ctx)
	if err != nil {
		return err
	}
	for i := range soakWindows {
		window := s.duration / soakWindows
		if err := pause(ctx, time.Until(begin.Add(time.Duration(i+1)*window))); err != nil {
			return err
		}
		now, err := server.figures(ctx)
		if err != nil {
			return err
		}
		s.figures = append(s.figures, now)
		live := pool([]*samples{s.nextWindow()})
		t.add(
			time.Since(begin).Round(s.duration/1000).String(),
			grouped(float64(s.connected.Load())), grouped(float64(s.returned.Load())),
			grouped(float64(s.published())), grouped(float64(s.delivered.Load())),
			inTime(live.percentile(50)), inTime(live.percentile(99)), inTime(live.max()),
			digits((now.cpu-before.cpu)/window.Seconds()*100)+" %",
			inMiB(now.rss), inMiB(now.heap), grouped(now.goroutines), grouped(now.files),
		)
		before = now
	}
	return nil
}

func (s *soak) nextWindow() *samples {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.window
	s.window = newSamples(maxSamples)
	return last
}

// took counts a message. Latency is of live ones alone: negative for others.
func (s *soak) took(latency time.Duration) {
	s.delivered.Add(1)
	if latency < 0 {
		return
	}
	s.live.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window.add(latency)
}

// drift compares the second half of the run with its last window: what grew, if anything did.
func (s *soak) drift() string {
	middle, last := s.figures[soakWindows/2-1], s.figures[soakWindows-1]
	grown := func(from, to float64) string { return fmt.Sprintf("%+.1f %%", 100*(to/from-1)) }
	return fmt.Sprintf("from the middle to the end RSS %s, heap %s, goroutines %s, descriptors %s",
		grown(middle.rss, last.rss), grown(middle.heap, last.heap), grown(middle.goroutines, last.goroutines), grown(middle.files, last.files))
}

// around is a random time of d on average.
func around(d time.Duration) time.Duration {
	return rand.N(2*d + 1) //nolint:gosec // no secret
}
