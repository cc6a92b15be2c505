package bench

import (
	"context"
	"fmt"
	"time"
)

// side is one of two that do the same work: Fanfare, or the floor.
type side struct {
	name       string
	target     target
	audience   *audience
	publishers []*publisher // none if the target publishes on its own
	// traffic publishes the messages of one round.
	traffic func(ctx context.Context) error

	// What each round came to.
	cpu        []float64 // seconds of the target's; NaN if it does not say
	deliveries []float64
	publishes  []float64
	seconds    []float64
}

// newSide connects the audience of a target.
func (r *runner) newSide(ctx context.Context, name string, t target, c crowd) (*side, error) {
	a, err := gather(ctx, t, c, r.fail)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &side{name: name, target: t, audience: a}, nil
}

// publishBy connects so many publishers.
func (s *side) publishBy(ctx context.Context, count, dataSize int, address string, dial func(ctx context.Context, address string) (post, error)) error {
	for i := range count {
		p, err := dial(ctx, address)
		if err != nil {
			return fmt.Errorf("%s: publisher %d of %d could not connect: %w", s.name, i+1, count, err)
		}
		context.AfterFunc(ctx, p.close) // nothing is worth waiting for then
		s.publishers = append(s.publishers, newPublisher(i, s.audience, p, dataSize))
	}
	return nil
}

// round measures from before the first message until everybody has the last.
func (s *side) round(ctx context.Context) error {
	deliveries, publishes := s.audience.deliveries(), s.audience.published()
	before, err := s.target.figures(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := s.traffic(ctx); err != nil {
		return err
	}
	end := time.Now()
	if err := s.audience.complete(ctx); err != nil {
		return err
	}
	if last := s.audience.lastAt(); last.After(end) {
		end = last
	}
	after, err := s.target.figures(ctx)
	if err != nil {
		return err
	}
	s.cpu = append(s.cpu, after.cpu-before.cpu)
	s.deliveries = append(s.deliveries, float64(s.audience.deliveries()-deliveries))
	s.publishes = append(s.publishes, float64(s.audience.published()-publishes))
	s.seconds = append(s.seconds, end.Sub(begin).Seconds())
	return nil
}

// answers is from publishing to the answer, over all rounds.
func (s *side) answers() distribution {
	var all []*samples
	for _, p := range s.publishers {
		all = append(all, p.answers)
	}
	return pool(all)
}

// receiptSize is the mean of the answers to the publishers, in bytes.
func (s *side) receiptSize() int {
	var bytes, count int64
	for _, p := range s.publishers {
		bytes += p.receipts
		count += p.published
	}
	return int((bytes + count/2) / max(count, 1))
}

// leave closes all connections of the side.
func (s *side) leave() {
	for _, p := range s.publishers {
		p.post.close()
	}
	s.audience.leave()
}

// costs are the target's seconds of CPU per delivery, round by round.
func (s *side) costs() []float64 { return ratios(s.cpu, s.deliveries) }
