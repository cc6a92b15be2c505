package bench

import (
	"context"
	"errors"
	"fmt"
)

// pair is a Fanfare and a floor with audiences that are alike.
type pair struct {
	server  *server
	bare    *floorTarget
	fanfare *side
	floor   *side
}

// pair starts both and connects their audiences. Stop must follow, unless it fails.
func (r *runner) pair(ctx context.Context, c crowd) (*pair, error) {
	if err := checkFiles(2 * (c.subscribers + c.publishers)); err != nil {
		return nil, err
	}
	p := &pair{}
	if err := p.start(ctx, r, c); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *pair) start(ctx context.Context, r *runner, c crowd) (err error) {
	if p.server, err = r.server(ctx); err != nil {
		return err
	}
	if p.bare, err = r.bare(ctx); err != nil {
		return err
	}
	if p.fanfare, err = r.newSide(ctx, "Fanfare", p.server, c); err != nil {
		return err
	}
	p.floor, err = r.newSide(ctx, "floor", p.bare, c)
	return err
}

// stop leaves, and ends what was started.
func (p *pair) stop() error {
	var failures []error
	for _, s := range []*side{p.fanfare, p.floor} {
		if s != nil {
			s.leave()
		}
	}
	if p.server != nil {
		failures = append(failures, p.server.stop())
	}
	if p.bare != nil {
		failures = append(failures, p.bare.child.stop())
	}
	return errors.Join(failures...)
}

// alternate measures both in turn, so that what slows the machine down for a while slows
// down both. The floor sends frames and receipts as long as those it got from Fanfare.
func (p *pair) alternate(ctx context.Context, rounds int) error {
	for range rounds {
		if err := p.fanfare.round(ctx); err != nil {
			return err
		}
		if err := p.bare.sizes(p.fanfare.audience.frameSize(), p.fanfare.receiptSize()); err != nil {
			return err
		}
		if err := p.floor.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// comparison begins the two rows of a table: name, CPU per delivery, ratio to the floor,
// budget of that ratio, and whether it is kept.
func (p *pair) comparison(budget float64) (fanfare, floor []string) {
	ratio := spreadOf(ratios(p.fanfare.costs(), p.floor.costs()))
	cost := func(s *side) string { return spreadOf(s.costs()).cell(inMicroseconds) }
	fanfare = []string{"Fanfare", cost(p.fanfare), ratio.cell(digits), fmt.Sprintf("<= %.2f", budget), verdict(ratio.median, budget)}
	return fanfare, []string{"floor", cost(p.floor), "1", "", ""}
}
