package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"fanfare/app/bench"
)

// benchCommand measures; its hidden subcommands are what it starts.
func (c command) benchCommand() *cobra.Command {
	o := bench.DefaultOptions()
	cores := []int{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what the server costs, beside the least that it can cost",
		Long: "Measure what the server costs, beside the least that it can cost, and print a table in Markdown for each\n" +
			"scenario: " + strings.Join(bench.ScenarioNames(), ", ") + ". docs/benchmarks.md explains them.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			if server, load, ok := bench.Cores(); ok && len(cores) == 0 {
				return bench.Pin(load, append(os.Args, fmt.Sprintf("--cores=%d,%d", server, load)))
			}
			if len(cores) == 2 {
				o.Pinned, o.ServerCore, o.LoadCore = true, cores[0], cores[1]
			}
			if c.errTerminal {
				o.Progress = c.stderr
			}
			ctx, restore := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer restore()
			return bench.Run(ctx, o, c.stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.URL, "url", "", "measure the Fanfare at `URL`, http://HOST:PORT, in place of one of its own")
	flags.StringArrayVar(&o.Scenarios, "scenario", nil, "carry out the scenario `NAME` only; may be repeated (default all but soak)")
	flags.IntVar(&o.Clients, "clients", o.Clients, "connections, of paced, burst, replay, idle, storm and soak (default each its own)")
	flags.IntVar(&o.Topics, "topics", o.Topics, "topics, of topics")
	flags.Float64Var(&o.Rate, "rate", o.Rate, "messages a second, of paced")
	flags.DurationVar(&o.Duration, "duration", o.Duration, "how long a round lasts; all of soak")
	flags.IntVar(&o.Size, "size", o.Size, "bytes of a frame, about")
	flags.IntVar(&o.Rounds, "rounds", o.Rounds, "how often each program is measured")
	flags.StringArrayVar(&o.ServerEnv, "server-env", nil, "start the server with `KEY=VALUE` in its environment; may be repeated")
	flags.IntSliceVar(&o.Nodes, "nodes", nil, "how many nodes, of nodes: such as 1,2,4")
	flags.StringVar(&o.Commit, "commit", "", "what to call the commit, where the build does not know it")
	flags.IntSliceVar(&cores, "cores", nil, "the server's core and the load's, which this process is on")
	_ = flags.MarkHidden("cores")
	cmd.AddCommand(c.benchServerCommand(), c.benchFloorCommand(), c.benchReplaysCommand())
	return cmd
}

// benchServerCommand serves on a free port, and answers about itself on its standard
// output, until its standard input ends. Its configuration is its environment alone.
func (c command) benchServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    bench.ServerCommand,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := LoadConfig(ConfigSources{
				File:    os.DevNull,
				Environ: c.environ,
				Flags:   map[string]string{"server.address": "127.0.0.1:0"},
			})
			if err != nil {
				return err
			}
			a, err := New(cmd.Context(), cfg, NewLogger(c.stderr, cfg.Log))
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			attended := make(chan error, 1)
			go func() {
				defer stop()
				attended <- bench.Attend(cmd.InOrStdin(), c.stdout, a.Address())
			}()
			err = a.Run(ctx)
			select {
			case failed := <-attended:
				return errors.Join(err, failed)
			default:
				return err // it could not serve
			}
		},
	}
}

func (c command) benchFloorCommand() *cobra.Command {
	return &cobra.Command{
		Use:    bench.FloorCommand,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.RunFloor(cmd.Context(), cmd.InOrStdin(), c.stdout)
		},
	}
}

func (c command) benchReplaysCommand() *cobra.Command {
	return &cobra.Command{
		Use:    bench.ReplayCommand,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.RunReplays(cmd.Context(), cmd.InOrStdin(), c.stdout)
		},
	}
}
