package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
)

const (
	// fanoutClients is how many subscribers one topic has.
	fanoutClients = 1000
	// burstPublishers is how many publish at the same time, each some messages and then,
	// when all were answered, the next. A message that is not sent yet is in the window
	// already: altogether these are a quarter of it.
	burstPublishers = 8
	burstShare      = 4 * burstPublishers

	// The budgets of server CPU per delivery: a ratio to the floor, and seconds.
	pacedBudget = 1.15
	burstBudget = 0.3e-6
)

// paced compares with a program that does nothing but write(2).
func (r *runner) paced(ctx context.Context) (err error) {
	clients, rate, dataSize := r.clients(fanoutClients), r.options.Rate, r.options.dataSize()
	count := max(1, int(math.Round(rate*r.options.Duration.Seconds())))
	p, err := r.pair(ctx, crowd{subscribers: clients, topics: 1, publishers: 1, samples: share(clients)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.fanfare.publishBy(ctx, 1, dataSize, p.server.address, dialWebSocketPost); err != nil {
		return err
	}
	p.fanfare.traffic = func(ctx context.Context) error {
		return pace(ctx, rate, count, func() error { return p.fanfare.publishers[0].publish(ctx, 1) })
	}
	p.floor.traffic = func(context.Context) error {
		p.floor.audience.topics[0].published.Add(int64(count))
		_, err := p.bare.child.order(fmt.Sprint(orderPace, " ", rate, " ", count, " ", dataSize))
		return err
	}
	if err := p.alternate(ctx, r.options.Rounds); err != nil {
		return err
	}

	t := &table{}
	t.add("", "server CPU per delivery", "x floor", "budget", "kept", "receipt after p50", "p90", "p99", "p99.9", "max")
	fanfare, floor := p.comparison(pacedBudget)
	t.add(append(fanfare, latencyCells(p.fanfare.audience.latencies())...)...)
	t.add(append(floor, latencyCells(p.floor.audience.latencies())...)...)
	return r.print(t, fmt.Sprintf("%s subscribers; %s messages/s were published of the %s asked for; frames of %d bytes, the floor's of %d; %s.",
		grouped(float64(clients)), spreadOf(ratios(p.fanfare.publishes, p.fanfare.seconds)).cell(digits), digits(rate),
		p.fanfare.audience.frameSize(), p.floor.audience.frameSize(), r.effort(p.fanfare)))
}

// burst has no floor: what it may cost, and only can if many messages leave in one write,
// is far below that of a write for each.
func (r *runner) burst(ctx context.Context) (err error) {
	clients := r.clients(fanoutClients)
	window := windowSize(r.options.Size)
	atATime := max(1, window/burstShare)
	if err := checkFiles(clients + burstPublishers); err != nil {
		return err
	}
	server, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	s, err := r.newSide(ctx, "Fanfare", server, crowd{subscribers: clients, topics: 1, publishers: burstPublishers, window: window})
	if err != nil {
		return err
	}
	defer s.leave()
	if err := s.publishBy(ctx, burstPublishers, r.options.dataSize(), server.address, dialWebSocketPost); err != nil {
		return err
	}
	s.traffic = func(ctx context.Context) error { return flood(ctx, s.publishers, atATime, r.options.Duration) }
	for range r.options.Rounds {
		if err := s.round(ctx); err != nil {
			return err
		}
	}

	cost, answers := spreadOf(s.costs()), s.answers()
	t := &table{}
	t.add("", "server CPU per delivery", "budget", "kept", "deliveries/s", "messages/s", fmt.Sprintf("%d publishes answered after p50", atATime), "p99")
	t.add("Fanfare", cost.cell(inMicroseconds), "<= "+inMicroseconds(burstBudget), verdict(cost.median, burstBudget),
		spreadOf(ratios(s.deliveries, s.seconds)).cell(grouped), spreadOf(ratios(s.publishes, s.seconds)).cell(grouped),
		inTime(answers.percentile(50)), inTime(answers.percentile(99)))
	return r.print(t, fmt.Sprintf("%s subscribers; %d publishers over WebSockets with %d messages at a time, at most %s messages ahead of the slowest subscriber; frames of %d bytes; %s.",
		grouped(float64(clients)), burstPublishers, atATime, grouped(float64(window)), s.audience.frameSize(), r.effort(s)))
}

// latencyCells are the percentiles of a distribution.
func latencyCells(d distribution) (cells []string) {
	for _, p := range []float64{50, 90, 99, 99.9} {
		cells = append(cells, inTime(d.percentile(p)))
	}
	return append(cells, inTime(d.max()))
}

// share is how many samples each of so many may keep, so that all have maxSamples.
func share(count int) int {
	return max(2, maxSamples/count&^1)
}

// effort says how much of Fanfare was measured.
func (r *runner) effort(s *side) string {
	return fmt.Sprintf("median and range of %d rounds of %v each; in all %s messages and %s deliveries",
		r.options.Rounds, r.options.Duration, grouped(float64(s.audience.published())), grouped(float64(s.audience.deliveries())))
}
