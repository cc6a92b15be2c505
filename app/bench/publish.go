package bench

import (
	"context"
	"errors"
	"fmt"
)

const (
	// httpPublishers is how many keep-alive connections publish at a time, each when its
	// last was answered.
	httpPublishers = 8

	// httpBudget is of server CPU per publish, as a ratio to the floor.
	httpBudget = 1.5
)

// http publishes to one topic.
func (r *runner) http(ctx context.Context) error { return r.publishing(ctx, 1) }

// topics publishes to many.
func (r *runner) topics(ctx context.Context) error { return r.publishing(ctx, r.options.Topics) }

// publishing compares with a program that does nothing but take an HTTP request, write a
// frame to the one subscriber and answer.
func (r *runner) publishing(ctx context.Context, topics int) (err error) {
	p, err := r.pair(ctx, crowd{subscribers: topics, topics: topics, publishers: httpPublishers, samples: share(topics), window: windowSize(r.options.Size)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	dataSize, duration := r.options.dataSize(), r.options.Duration
	if err := p.fanfare.publishBy(ctx, httpPublishers, dataSize, p.server.address, dialHTTPPost); err != nil {
		return err
	}
	if err := p.floor.publishBy(ctx, httpPublishers, dataSize, p.bare.httpAddress(), dialHTTPPost); err != nil {
		return err
	}
	p.fanfare.traffic = func(ctx context.Context) error { return flood(ctx, p.fanfare.publishers, 1, duration) }
	p.floor.traffic = func(ctx context.Context) error { return flood(ctx, p.floor.publishers, 1, duration) }
	if err := p.alternate(ctx, r.options.Rounds); err != nil {
		return err
	}

	t := &table{}
	t.add("", "server CPU per publish", "x floor", "budget", "kept", "publishes/s", "answered after p50", "p90", "p99", "p99.9", "max", "receipt after p50", "p99")
	fanfare, floor := p.comparison(httpBudget)
	for _, row := range []struct {
		side  *side
		cells []string
	}{{p.fanfare, fanfare}, {p.floor, floor}} {
		received := row.side.audience.latencies()
		cells := append(row.cells, spreadOf(ratios(row.side.publishes, row.side.seconds)).cell(grouped))
		cells = append(cells, latencyCells(row.side.answers())...)
		t.add(append(cells, inTime(received.percentile(50)), inTime(received.percentile(99)))...)
	}
	return r.print(t, fmt.Sprintf("Topics: %s, a subscriber each; %d publishers over keep-alive connections; data of %d bytes, frames of %d, receipts of %d (the floor: %d and %d); %s.",
		grouped(float64(topics)), httpPublishers, dataSize, p.fanfare.audience.frameSize(), p.fanfare.receiptSize(),
		p.floor.audience.frameSize(), p.floor.receiptSize(), r.effort(p.fanfare)))
}
