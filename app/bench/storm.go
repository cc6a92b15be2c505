package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stormClients is how many connect at once.
const stormClients = 5000

// storm lets all connect, and then all leave, again and again.
func (r *runner) storm(ctx context.Context) (err error) {
	clients := r.clients(stormClients)
	if err := checkFiles(clients); err != nil {
		return err
	}
	s, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	var perSecond, cpu, emptying []float64
	var welcomes []*samples
	for range r.options.Rounds {
		before, err := s.figures(ctx)
		if err != nil {
			return err
		}
		begin := time.Now()
		a, err := gather(ctx, s, waiting(clients), r.fail)
		if err != nil {
			return err
		}
		defer a.leave()
		perSecond = append(perSecond, float64(clients)/time.Since(begin).Seconds())
		welcomes = append(welcomes, a.welcomes)
		after, err := s.figures(ctx)
		if err != nil {
			return err
		}
		cpu = append(cpu, (after.cpu-before.cpu)/float64(clients))

		begin = time.Now()
		a.leave()
		if err := s.emptied(ctx); err != nil {
			return err
		}
		emptying = append(emptying, time.Since(begin).Seconds())
	}

	t := &table{}
	t.add("", "server CPU per connect", "connects/s", "welcome after p50", "p90", "p99", "p99.9", "max", "all leave: none is listed after")
	cells := []string{"Fanfare", spreadOf(cpu).cell(inMicroseconds), spreadOf(perSecond).cell(grouped)}
	cells = append(cells, latencyCells(pool(welcomes))...)
	t.add(append(cells, spreadOf(emptying).cell(inTime))...)
	return r.print(t, fmt.Sprintf("%s clients, %d connecting at a time, each until its subscribe is acknowledged; median and range of %d rounds.",
		grouped(float64(clients)), connecting, r.options.Rounds))
}
