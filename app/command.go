package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

// The exit statuses of the fanfare command.
const (
	exitOK    = 0
	exitError = 1 // it could not start, or failed while running
	exitUsage = 2 // the command line is wrong
)

// Main runs the fanfare command line and returns the exit status for the process.
func Main() int {
	c := command{
		environ:     os.Environ(),
		stdin:       os.Stdin,
		stdout:      os.Stdout,
		stderr:      os.Stderr,
		outTerminal: isTerminal(os.Stdout),
		errTerminal: isTerminal(os.Stderr),
		serve:       serve,
	}
	return c.run(os.Args[1:])
}

// start is what a server is started with.
type start struct {
	config Config
	logger *slog.Logger
	// hangups asks it to load the configuration again.
	hangups <-chan os.Signal
	load    func() (Config, error)
}

// serve runs the server until ctx ends and it has shut down.
func serve(ctx context.Context, s start) error {
	a, err := New(ctx, s.config, s.logger)
	if err != nil && ctx.Err() != nil {
		s.logger.Info("stopped", "before", "listening", "error", err)
		return nil //nolint:nilerr // it was to end, whatever it waited for
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	reloading.Go(func() { a.reloadWhen(ctx, s.hangups, s.load) })
	err = a.Run(ctx)
	cancel()
	reloading.Wait()
	return err
}

// command is the command line and what it works on, so that tests can give it their own.
type command struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer // errors, and the server's log
	// Whether people read stdout and stderr as they come.
	outTerminal, errTerminal bool
	serve                    func(context.Context, start) error
}

// usageError is a mistake on the command line, rather than in what it started.
type usageError struct {
	err error
}

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// run executes the command line and reports its error, once, on stderr.
func (c command) run(args []string) int {
	root := c.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(c.stderr, "fanfare: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		_, _ = fmt.Fprintf(c.stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitError
}

// rootCommand is "fanfare", which does what "fanfare serve" does.
func (c command) rootCommand() *cobra.Command {
	root := c.serveCommand()
	root.Use = "fanfare"
	root.Short = "Fanfare is a real-time pub/sub server: publish with curl, subscribe from a browser."
	root.Long = root.Short + "\n\nWithout a command it serves, as 'fanfare serve' does."
	root.Version = thisBuild().String()
	root.SilenceErrors = true // run reports them
	root.SilenceUsage = true
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetVersionTemplate("fanfare {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{err}
	})
	root.Example = `  fanfare                             # the server, on 127.0.0.1:8080
  fanfare sub 'news.*'                # in a second shell
  fanfare pub news.eu 'hello'         # in a third
  fanfare doctor https://example.com  # what is wrong?`
	addGroup(root, "The server:", c.serveCommand(), c.configCommand(), c.tokenCommand(), c.keyCommand())
	addGroup(root, "A running server:", c.pubCommand(), c.subCommand(), c.topicsCommand(), c.clientsCommand())
	addGroup(root, "Tools:", c.doctorCommand(), c.healthCommand(), c.benchCommand(), c.versionCommand())
	root.SetHelpCommandGroupID("Tools:")
	root.SetCompletionCommandGroupID("Tools:")
	return root
}

// addGroup adds commands below a title in the help.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, cmd := range commands {
		cmd.GroupID = title
	}
	root.AddCommand(commands...)
}

// groupCommand is for the commands below it: alone it tells which those are.
func groupCommand(name, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(commands...)
	return group
}

func (c command) serveCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server until it is told to stop",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sources, err := c.configSources(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("address") {
				sources.Flags["server.address"] = address
			}
			return c.serveUntilSignal(cmd.Context(), sources)
		},
	}
	addConfigFlag(cmd)
	cmd.Flags().StringVar(&address, "address", "", "listen on `HOST:PORT`, in place of server.address")
	return cmd
}

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "read the configuration, in YAML, from `FILE` (default ./config.yaml if there is one)")
}

// configSources is where the configuration of a command is that has --config.
func (c command) configSources(cmd *cobra.Command) (ConfigSources, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return ConfigSources{}, err
	}
	if cmd.Flags().Changed("config") && file == "" {
		return ConfigSources{}, usageError{errors.New("--config needs the name of a file")}
	}
	return ConfigSources{File: file, Environ: c.environ, Flags: map[string]string{}}, nil
}

// loadConfig is LoadConfig for a command that has --config.
func (c command) loadConfig(cmd *cobra.Command) (Config, error) {
	sources, err := c.configSources(cmd)
	if err != nil {
		return Config{}, err
	}
	return LoadConfig(sources)
}

func (c command) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and what it was built with",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if asJSON {
				text, err := json.Marshal(b)
				if err == nil {
					_, err = fmt.Fprintf(c.stdout, "%s\n", text)
				}
				return err
			}
			var r report
			r.line("fanfare %v", b)
			if b.Commit != "" {
				r.line("commit %s of %s", b.Commit, b.Date)
			}
			if b.Modified {
				r.line("with changes that were not committed")
			}
			return r.print(c.stdout)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	return cmd
}

// serveUntilSignal serves until SIGINT or SIGTERM asks it to stop. A second one ends the process at
// once: the signals have their usual meaning back before the server learns of the first. SIGHUP, where there is
// one, has it read the configuration again, from the same file.
func (c command) serveUntilSignal(ctx context.Context, sources ConfigSources) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	sources.File = sources.file()
	load := func() (Config, error) { return LoadConfig(sources) }
	cfg, err := load()
	if err != nil {
		return err
	}
	signalled, restore := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(signalled, func() {
		restore()
		cancel()
	})
	all := LogConfig{Level: "debug", Format: cfg.Log.Format} // the server's own level counts
	return c.serve(ctx, start{config: cfg, logger: NewLogger(c.stderr, all), hangups: hangups, load: load})
}

func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}
