package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// nodePublishers is how many publish at a time as fast as they can, over keep-alive connections to a
	// node of their own, which has no subscribers.
	nodePublishers = 16
	// nodeWindow is how many messages they may be ahead of the slowest subscriber.
	nodeWindow = 1024
)

// cluster is several Fanfares that share a log.
type cluster struct{ servers []*server }

// connect implements target: one after the other.
func (c cluster) connect(ctx context.Context, i int) (*client, error) {
	return c.servers[i%len(c.servers)].connect(ctx, i)
}

// subscription implements target.
func (c cluster) subscription(topic string) []byte { return c.servers[0].subscription(topic) }

// figures implements target: the CPU of all of them.
func (c cluster) figures(ctx context.Context) (figures, error) {
	sum := noFigures()
	sum.cpu = 0
	for _, s := range c.servers {
		f, err := s.figures(ctx)
		if err != nil {
			return sum, err
		}
		sum.cpu += f.cpu
	}
	return sum, nil
}

func (c cluster) stop() error {
	var failures []error
	for _, s := range c.servers {
		failures = append(failures, s.stop())
	}
	return errors.Join(failures...)
}

// nodes measures what it costs to share a log: with many subscribers on each node, and with one, which is
// what it costs to follow. Another node publishes.
func (r *runner) nodes(ctx context.Context) error {
	t := &table{}
	t.add("nodes", "subscribers each", "messages/s", "deliveries/s", "CPU per message and node", "CPU of the publishing node per message",
		"answered after p50", "p99", fmt.Sprintf("at %s/s received after p50", digits(r.options.Rate)), "p99", "max")
	for _, count := range r.options.Nodes {
		for _, subscribers := range []int{1, r.clients(fanoutClients)} {
			cells, err := r.nodesRow(ctx, count, subscribers)
			if err != nil {
				return err
			}
			t.add(cells...)
		}
	}
	return r.print(t, fmt.Sprintf("%d publishers over keep-alive connections to a node of their own without subscribers, at most %d messages ahead; frames of about %d bytes; median of %d rounds of %v.",
		nodePublishers, nodeWindow, r.options.Size, r.options.Rounds, r.options.Duration))
}

func (r *runner) nodesRow(ctx context.Context, count, subscribers int) (cells []string, err error) {
	var all cluster
	defer func() { err = errors.Join(err, all.stop()) }()
	for range count + 1 {
		s, err := r.server(ctx)
		if err != nil {
			return nil, err
		}
		all.servers = append(all.servers, s)
	}
	publishing, following := all.servers[0], cluster{all.servers[1:]}
	// A topic of its own for each row, since the log stays.
	name := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	crowd := crowd{name: name, subscribers: count * subscribers, topics: 1, publishers: nodePublishers, samples: share(count * subscribers), window: nodeWindow}
	fast, err := r.newSide(ctx, "Fanfare", following, crowd)
	if err != nil {
		return nil, err
	}
	defer fast.leave()
	if err := fast.publishBy(ctx, nodePublishers, r.options.dataSize(), publishing.address, dialHTTPPost); err != nil {
		return nil, err
	}
	fast.traffic = func(ctx context.Context) error { return flood(ctx, fast.publishers, 1, r.options.Duration) }
	var published []float64
	for range r.options.Rounds {
		before, err := publishing.figures(ctx)
		if err != nil {
			return nil, err
		}
		if err := fast.round(ctx); err != nil {
			return nil, err
		}
		after, err := publishing.figures(ctx)
		if err != nil {
			return nil, err
		}
		published = append(published, after.cpu-before.cpu)
	}
	latencies, err := r.pacedNodes(ctx, following, publishing, crowd)
	if err != nil {
		return nil, err
	}
	each := ratios(fast.cpu, fast.publishes)
	for i := range each {
		each[i] /= float64(count)
	}
	answers := fast.answers()
	cells = []string{
		fmt.Sprint(count), grouped(float64(subscribers)),
		grouped(spreadOf(ratios(fast.publishes, fast.seconds)).median), grouped(spreadOf(ratios(fast.deliveries, fast.seconds)).median),
		inMicroseconds(spreadOf(each).median), inMicroseconds(spreadOf(ratios(published, fast.publishes)).median),
		inTime(answers.percentile(50)), inTime(answers.percentile(99)),
	}
	for _, p := range []float64{50, 99} {
		cells = append(cells, inTime(latencies.percentile(p)))
	}
	return append(cells, inTime(latencies.max())), nil
}

// pacedNodes publishes at a steady pace, and tells how long the messages took.
func (r *runner) pacedNodes(ctx context.Context, following cluster, publishing *server, crowd crowd) (distribution, error) {
	crowd.name, crowd.publishers, crowd.window = crowd.name+"-paced", 1, 0
	slow, err := r.newSide(ctx, "Fanfare", following, crowd)
	if err != nil {
		return distribution{}, err
	}
	defer slow.leave()
	if err := slow.publishBy(ctx, 1, r.options.dataSize(), publishing.address, dialHTTPPost); err != nil {
		return distribution{}, err
	}
	count := max(1, int(r.options.Rate*r.options.Duration.Seconds()))
	slow.traffic = func(ctx context.Context) error {
		return pace(ctx, r.options.Rate, count, func() error { return slow.publishers[0].publish(ctx, 1) })
	}
	if err := slow.round(ctx); err != nil {
		return distribution{}, err
	}
	return slow.audience.latencies(), nil
}
