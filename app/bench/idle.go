package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

const (
	// sparedFiles is how many descriptors the largest size leaves free, of the load and of
	// the server.
	sparedFiles = 1000
	// maxIdleClients bounds the largest size that is tried by itself.
	maxIdleClients = 50_000
	// warmingClients come and go before the first figures: what the first few cost is not
	// what each costs.
	warmingClients = 64

	// The budgets of memory per client: bytes of RSS. The first is that of epoll.
	idleBudget         = 2 << 10
	portableIdleBudget = 5 << 10

	// settleWait is how long the server has to give back what clients had that have left.
	settleWait = 15 * time.Second

	// farClients is what memory is extrapolated to.
	farClients = 1_000_000
)

// idleRun is what one size came to.
type idleRun struct {
	clients int
	reached int64 // by the one message

	// The server's figures: without clients, with all of them, after they all got a
	// message, and after they have left.
	before, with, spoken, after figures

	connecting time.Duration // until the last had its ack
	speaking   time.Duration // until the last had the message
	emptying   time.Duration // until no client was listed any more
	settling   time.Duration // until what they had was given back, or settleWait
}

// idle measures each size with a server of its own.
func (r *runner) idle(ctx context.Context) error {
	sizes, err := r.idleSizes()
	if err != nil {
		return err
	}
	var runs []idleRun
	for _, clients := range sizes {
		run, err := r.idleSize(ctx, clients)
		if err != nil {
			return fmt.Errorf("%s clients: %w", grouped(float64(clients)), err)
		}
		runs = append(runs, run)
	}
	return r.printIdle(runs)
}

// idleSizes are all that the limit of descriptors allows.
func (r *runner) idleSizes() ([]int, error) {
	if r.options.Clients > 0 {
		return []int{r.options.Clients}, checkFiles(r.options.Clients)
	}
	most := maxIdleClients
	if limit := maxFiles(); limit > 0 {
		most = min(most, limit-sparedFiles)
	}
	sizes := slices.DeleteFunc([]int{5000, 10_000}, func(size int) bool { return size >= most })
	if most < 1 {
		return nil, checkFiles(sparedFiles)
	}
	return append(sizes, most), nil
}

func (r *runner) idleSize(ctx context.Context, clients int) (run idleRun, err error) {
	run.clients = clients
	s, err := r.server(ctx)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	few, err := gather(ctx, s, waiting(min(warmingClients, clients)), r.fail)
	if err != nil {
		return run, err
	}
	defer few.leave()
	if _, err := r.speak(ctx, s, few); err != nil {
		return run, err
	}
	few.leave()
	if err := s.emptied(ctx); err != nil {
		return run, err
	}
	if run.before, err = s.collected(ctx); err != nil {
		return run, err
	}

	begin := time.Now()
	all, err := gather(ctx, s, waiting(clients), r.fail)
	if err != nil {
		return run, err
	}
	defer all.leave()
	run.connecting = time.Since(begin)
	if run.with, err = s.collected(ctx); err != nil {
		return run, err
	}
	if run.speaking, err = r.speak(ctx, s, all); err != nil {
		return run, err
	}
	run.reached = all.deliveries()
	if run.spoken, err = s.collected(ctx); err != nil {
		return run, err
	}

	begin = time.Now()
	all.leave()
	if err := s.emptied(ctx); err != nil {
		return run, err
	}
	run.emptying = time.Since(begin)
	if err := settle(ctx, s, run.before); err != nil {
		return run, err
	}
	run.settling = time.Since(begin)
	run.after, err = s.collected(ctx)
	return run, err
}

// waiting is a crowd of clients that mostly wait.
func waiting(clients int) crowd {
	return crowd{subscribers: clients, topics: 1, publishers: 1}
}

// speak publishes one message for all, and gives the time until the last has it.
func (r *runner) speak(ctx context.Context, s *server, a *audience) (time.Duration, error) {
	p, err := dialHTTPPost(ctx, s.address)
	if err != nil {
		return 0, err
	}
	defer p.close()
	begin := time.Now()
	if err := newPublisher(0, a, p, r.options.dataSize()).publish(ctx, 1); err != nil {
		return 0, err
	}
	if err := a.complete(ctx); err != nil {
		return 0, err
	}
	return a.lastAt().Sub(begin), nil
}

// settle waits until the server has given back what its clients had, but not for longer
// than settleWait.
func settle(ctx context.Context, s *server, before figures) error {
	for begin := time.Now(); time.Since(begin) < settleWait; {
		now, err := s.figures(ctx)
		if err != nil || isSettled(now, before) {
			return err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// isSettled allows for the goroutines that fasthttp keeps for the next handshakes, which
// are as many as there were at a time.
func isSettled(now, before figures) bool {
	return !(now.files > before.files || now.goroutines > before.goroutines+connecting)
}

// printIdle has a column for each size.
func (r *runner) printIdle(runs []idleRun) error {
	t := &table{}
	row := func(name string, cell func(idleRun) string) {
		cells := []string{name}
		for _, run := range runs {
			cells = append(cells, cell(run))
		}
		t.add(cells...)
	}
	budget := r.idleBudget()
	perClient := func(with, before float64, run idleRun) float64 { return (with - before) / float64(run.clients) }
	row("clients", func(run idleRun) string { return grouped(float64(run.clients)) })
	row("all subscribed after", func(run idleRun) string { return inTime(run.connecting.Seconds()) })
	row("RSS before", func(run idleRun) string { return inMiB(run.before.rss) })
	row("RSS with them", func(run idleRun) string { return inMiB(run.with.rss) })
	row("RSS per client", func(run idleRun) string { return inKiB(perClient(run.with.rss, run.before.rss, run)) })
	row("budget <= "+inKiB(budget), func(run idleRun) string {
		return verdict(perClient(run.with.rss, run.before.rss, run), budget)
	})
	row("heap and stacks per client", func(run idleRun) string {
		return inKiB(perClient(run.with.heap+run.with.stack, run.before.heap+run.before.stack, run))
	})
	row("one message: clients that got it", func(run idleRun) string { return grouped(float64(run.reached)) })
	row("the last got it after", func(run idleRun) string { return inTime(run.speaking.Seconds()) })
	row("RSS per client then", func(run idleRun) string { return inKiB(perClient(run.spoken.rss, run.before.rss, run)) })
	row("all leave: none is listed after", func(run idleRun) string { return inTime(run.emptying.Seconds()) })
	row("all is given back after", func(run idleRun) string {
		if math.IsNaN(run.after.files + run.after.goroutines) {
			return missing
		}
		if !isSettled(run.after, run.before) {
			return "not in " + inTime(run.settling.Seconds())
		}
		return inTime(run.settling.Seconds())
	})
	row("RSS then", func(run idleRun) string { return inMiB(run.after.rss) })
	three := func(of func(figures) float64) func(run idleRun) string {
		return func(run idleRun) string {
			return grouped(of(run.before)) + " / " + grouped(of(run.with)) + " / " + grouped(of(run.after))
		}
	}
	row("goroutines before / with / then", three(func(f figures) float64 { return f.goroutines }))
	row("open files before / with / then", three(func(f figures) float64 { return f.files }))

	largest := runs[len(runs)-1]
	far := largest.before.rss + farClients*perClient(largest.with.rss, largest.before.rss, largest)
	var notes []string
	if !math.IsNaN(far) {
		notes = append(notes, fmt.Sprintf("%s clients: %s, extrapolated from %s.",
			grouped(farClients), withUnit(far/(1<<30), "GiB"), grouped(float64(largest.clients))))
	}
	if r.options.URL != "" {
		notes = append(notes, "Garbage is not collected before the figures are taken: the server was not started by this program.")
	}
	return r.print(t, notes...)
}

// idleBudget is in bytes.
func (r *runner) idleBudget() float64 {
	if runtime.GOOS != "linux" || slices.Contains(r.options.ServerEnv, "FANFARE_TRANSPORT_MODE=goroutine") {
		return portableIdleBudget
	}
	return idleBudget
}
