package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// The hidden subcommands of bench that the load starts. The first runs the server with
// Attend, the second RunFloor, the third RunReplays.
const (
	ServerCommand = "server"
	FloorCommand  = "floor"
	ReplayCommand = "replays"
)

// Options says what is measured. Zero values, where they are allowed, mean what each
// scenario has by itself.
type Options struct {
	// URL is the running Fanfare to measure, http://HOST:PORT. Empty starts one for each
	// scenario.
	URL string

	// Scenarios are the names of those to carry out, in order. Empty: all but "soak".
	Scenarios []string

	// Clients is how many connections the scenarios make that take a number; Topics how
	// many topics "topics" has. Zero: each scenario's own.
	Clients, Topics int

	// Rate is how many messages a second "paced" publishes.
	Rate float64

	// Duration is how long each round lasts, of the scenarios that publish, and how long "soak" does.
	Duration time.Duration

	// Size is about how long a message's frame is, in bytes, beginning with its header;
	// the least is some 150.
	Size int

	// Rounds is how often each target is measured.
	Rounds int

	// ServerEnv are settings, KEY=VALUE, for the servers that are started. They have
	// nothing else of the configuration that bench itself was started with.
	ServerEnv []string

	// Nodes are the numbers of nodes that "nodes" measures, of a cluster whose servers ServerEnv names.
	Nodes []int

	// Commit names what is measured, if the build does not know its revision.
	Commit string

	// Progress is told, once a second, which scenario is under way. Default: nobody is.
	Progress io.Writer

	// Pinned says that this process is on LoadCore, and that its children go to
	// ServerCore.
	Pinned               bool
	ServerCore, LoadCore int
}

// DefaultOptions returns the options of a run that takes less than 4 minutes.
func DefaultOptions() Options {
	return Options{
		Topics:   1000,
		Rate:     50,
		Duration: 4 * time.Second,
		Size:     150,
		Rounds:   3,
	}
}

// Validate tells all that is wrong with the options.
func (o Options) Validate() error {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if o.URL != "" {
		if _, err := addressOf(o.URL); err != nil {
			wrong("--url: %w", err)
		}
		if len(o.ServerEnv) > 0 {
			wrong("--server-env: the server at --url has its own environment")
		}
	}
	for _, name := range o.Scenarios {
		if !slices.Contains(ScenarioNames(), name) {
			wrong("--scenario: there is no %q; there are %s", name, strings.Join(ScenarioNames(), ", "))
		}
	}
	if o.Clients < 0 {
		wrong("--clients: want 1 or more")
	}
	if o.Topics < 1 {
		wrong("--topics: want 1 or more")
	}
	if !(o.Rate > 0 && o.Rate <= 100_000) {
		wrong("--rate: want more than 0, and at most 100000")
	}
	if longest := o.longest(); o.Duration < time.Millisecond || o.Duration > longest {
		wrong("--duration: want 1ms to %v", longest)
	}
	if o.Size < 1 || o.Size > 60_000 {
		wrong("--size: want 1 to 60000")
	}
	if o.Rounds < 1 {
		wrong("--rounds: want 1 or more")
	}
	if slices.ContainsFunc(o.Nodes, func(n int) bool { return n < 1 }) {
		wrong("--nodes: want 1 or more")
	}
	if slices.Contains(o.Scenarios, scenarioNodes) && len(o.Nodes) == 0 || len(o.Nodes) > 0 && len(o.ServerEnv) == 0 {
		wrong("--nodes and --server-env: want how many, such as 1,2,4, and the cluster, FANFARE_ENGINE=nats and FANFARE_NATS_URLS=...")
	}
	for _, entry := range o.ServerEnv {
		if key, _, found := strings.Cut(entry, "="); !found || key == "" {
			wrong("--server-env: %q is not KEY=VALUE", entry)
		}
	}
	return errors.Join(mistakes...)
}

// wants tells whether a scenario is to be carried out.
func (o Options) wants(name string) bool {
	switch {
	case name == scenarioNodes && len(o.Nodes) == 0:
		return false
	case len(o.Scenarios) == 0:
		return name != scenarioSoak
	default:
		return slices.Contains(o.Scenarios, name)
	}
}

// longest is how long a round may last. A keep-alive connection waits for a minute, and only a soak has
// none that does.
func (o Options) longest() time.Duration {
	if slices.Equal(o.Scenarios, []string{scenarioSoak}) {
		return 24 * time.Hour
	}
	return time.Minute
}

// dataSize is the size of a message's data in bytes, such that its frame has about Size.
func (o Options) dataSize() int {
	const around = 98 // the frame of {"type":"message",...} without its data
	return max(o.Size-around, stampLength)
}

const (
	// scenarioNodes is the one that needs a NATS cluster.
	scenarioNodes = "nodes"
	// scenarioSoak takes long, and is only carried out if it is asked for.
	scenarioSoak = "soak"
)

// scenario is one thing that is measured.
type scenario struct {
	name string
	// about says in a sentence what the figures are of.
	about string
	run   func(*runner, context.Context) error
}

func scenarios() []scenario {
	return []scenario{
		{"paced", "Messages at a steady pace, to many subscribers of one topic.", (*runner).paced},
		{"burst", "Messages as fast as they go, to many subscribers of one topic.", (*runner).burst},
		{"http", "Messages by HTTP as fast as they go, to one subscriber.", (*runner).http},
		{"topics", "Messages by HTTP as fast as they go, to many topics with one subscriber each.", (*runner).topics},
		{"replay", "Live messages beside replays of the past to many clients.", (*runner).replay},
		{"idle", "Clients that are subscribed and wait; then one message for all, and they leave.", (*runner).idle},
		{"storm", "Clients that all connect and subscribe at once, and then leave.", (*runner).storm},
		{scenarioNodes, "Nodes of a cluster that follow one log: messages by HTTP as fast as they go, and at a steady pace.", (*runner).nodes},
		{scenarioSoak, "Clients of all transports that come and go for long, each with a message a second.", (*runner).soak},
	}
}

// ScenarioNames are the names that Options.Scenarios may have.
func ScenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// runner carries out scenarios, one after the other.
type runner struct {
	options    Options
	executable string
	environ    []string
	stderr     *os.File // of the children
	out        io.Writer
	progress   *progress // of the scenario that is under way
	// fail ends the scenario that is under way.
	fail context.CancelCauseFunc
}

// Run carries out the scenarios and writes a table of each to out. It fails if one could
// not be carried out, or if a message was lost, repeated or out of order; figures beyond a
// budget are no failure. It executes this program again, which must have the hidden
// subcommands.
func Run(ctx context.Context, options Options, out io.Writer) error {
	if err := options.Validate(); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	r := &runner{options: options, executable: executable, environ: os.Environ(), stderr: os.Stderr, out: out}
	r.printf("%s\n", r.headline())
	for _, s := range scenarios() {
		if !options.wants(s.name) {
			continue
		}
		r.printf("\n### %s\n\n%s\n", s.name, s.about)
		if err := r.carryOut(ctx, s); err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
	}
	return nil
}

// carryOut runs a scenario under a context that ends with the first failure of any of its
// connections.
func (r *runner) carryOut(ctx context.Context, s scenario) error {
	ctx, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	r.progress = newProgress(r.options.Progress, s.name)
	defer r.progress.end()
	err := s.run(r, ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause // it explains what else went wrong
	}
	return err
}

func (r *runner) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format, args...)
}

// print writes the scenario's table, and what is to be said about it.
func (r *runner) print(t *table, notes ...string) error {
	r.progress.end()
	r.printf("\n")
	if err := t.write(r.out); err != nil {
		return err
	}
	for _, note := range notes {
		r.printf("\n%s\n", note)
	}
	return nil
}

// clients is how many connections a scenario makes.
func (r *runner) clients(byDefault int) int {
	if r.options.Clients > 0 {
		return r.options.Clients
	}
	return byDefault
}

// loadCore is where children of the load run; negative: anywhere.
func (r *runner) loadCore() int {
	if r.options.Pinned {
		return r.options.LoadCore
	}
	return -1
}

// serverCore is where what is measured runs; negative: anywhere.
func (r *runner) serverCore() int {
	if r.options.Pinned {
		return r.options.ServerCore
	}
	return -1
}
