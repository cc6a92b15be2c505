package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fanfare/app/remote"
	"fanfare/clients/go"
	"fanfare/models"
)

// subOptions is what is listened to, and how it is printed.
type subOptions struct {
	remote   remoteFlags
	since    string
	last     int
	overflow string
	asJSON   bool
	raw      bool
	count    int
	quiet    bool
	timeout  time.Duration
}

func (c command) subCommand() *cobra.Command {
	var o subOptions
	cmd := &cobra.Command{
		Use:   "sub PATTERN...",
		Short: "Print messages as they come",
		Long: `Print the messages of topics and patterns as they come, each once and in order: * is one token, > is the rest. On a
terminal a line has the time, the topic and the data, else it is the message as a JSON object.

When the connection breaks, it comes back by itself and goes on from where it was. That, and messages that are lost,
is told on standard error. Ctrl-C ends it, with exit status 0.`,
		Example: `  fanfare sub 'news.*'
  fanfare sub news.eu 'chat.>' --last 10
  fanfare sub '>' --since all --count 100 | jq .data
  fanfare sub images.cat --raw --last 1 --count 1 >cat.png`,
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: c.completeTopics(&o.remote, true),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(args, cmd.Flags().Changed("last")); err != nil {
				return usageError{err}
			}
			server, err := c.server(o.remote)
			if err != nil {
				return err
			}
			ctx, restore := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer restore()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go whenClosed(ctx, c.stdout, cancel)
			err = c.subscribe(ctx, server, args, o)
			if ctx.Err() != nil || errors.Is(err, syscall.EPIPE) {
				return nil // nobody wants more
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "begin behind the message with this `ID`, or with all that is retained: all")
	flags.IntVar(&o.last, "last", 0, "begin with the last `N` messages, over all patterns")
	flags.StringVar(&o.overflow, "overflow", "", "what becomes of messages when this is too slow, `POLICY`: disconnect (nothing is lost, the default), drop_oldest or latest")
	flags.IntVar(&o.count, "count", 0, "end after `N` messages")
	flags.BoolVar(&o.asJSON, "json", false, "JSON on a terminal, too")
	flags.BoolVar(&o.raw, "raw", false, "the data alone: a text as it is, other JSON as JSON, each on a line; bytes as they are, without a line break")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing of connections that break, only of losses")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "for how long to try the first connection; 0s: once")
	_ = cmd.RegisterFlagCompletionFunc("since", cobra.FixedCompletions([]string{models.SinceAll}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("overflow", cobra.FixedCompletions([]string{
		string(models.OverflowDisconnect), string(models.OverflowDropOldest), string(models.OverflowLatest),
	}, cobra.ShellCompDirectiveNoFileComp))
	addRemoteFlags(cmd, &o.remote)
	return cmd
}

// check finds what the server would refuse.
func (o subOptions) check(patterns []string, hasLast bool) error {
	for _, text := range patterns {
		if _, err := models.ParsePattern(text); err != nil {
			return flagError(fmt.Sprintf("%q", text), err)
		}
	}
	last := &o.last
	if !hasLast {
		last = nil
	}
	if _, err := models.ParseStart(o.since, last); err != nil {
		return flagError("--since, --last", err)
	}
	if _, err := models.ParseOverflow(o.overflow); err != nil {
		return flagError("--overflow", err)
	}
	if o.asJSON && o.raw {
		return errors.New("either --json or --raw, not both")
	}
	if o.count < 0 || o.timeout < 0 {
		return errors.New("--count, --timeout: want 0 or more")
	}
	return nil
}

// subscribe prints messages until there are enough, or the context ends.
func (c command) subscribe(ctx context.Context, server *remote.Server, patterns []string, o subOptions) error {
	said := newTrouble(c.stderr)
	// What is wrong with the URL or the server is told before anything else.
	if err := server.Await(ctx, remote.Retry{Timeout: o.timeout, Trouble: said.tell}); err != nil {
		return err
	}
	client, err := fanfare.Connect(server.URL.String(), c.clientOptions(server, o, said))
	if err != nil {
		return err
	}
	defer client.Close()
	first := ctx
	if o.timeout > 0 {
		var cancel context.CancelFunc
		first, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	subscription, err := client.Subscribe(first, fanfare.SubscribeOptions{
		Topics: patterns, Since: o.since, Last: o.last, Overflow: fanfare.Overflow(o.overflow),
	})
	if err != nil {
		return fmt.Errorf("%s: %w. Perhaps fanfare doctor knows more", server.URL, unprefixed(err))
	}
	write := c.printer(o)
	printed := 0
	for message, err := range subscription.Messages(ctx) {
		switch {
		case err == nil:
			if err := write(message); err != nil {
				return err
			}
			if printed++; printed == o.count {
				return nil
			}
		case fanfare.IsPassing(err):
			said.say("%v", unprefixed(err))
		default:
			return unprefixed(err)
		}
	}
	return nil
}

// clientOptions says who it is, and tells of connections that break.
func (c command) clientOptions(server *remote.Server, o subOptions, said *trouble) fanfare.Options {
	options := fanfare.Options{HTTPClient: server.Client, Header: http.Header{"User-Agent": {"fanfare"}}}
	if o.remote.tokenFile != "" {
		options.TokenSource = func(context.Context) (string, error) { return server.Token() }
	} else {
		options.Token, _ = server.Token() // it was checked
	}
	if o.quiet {
		return options
	}
	what := "cannot connect" // both are called by one goroutine
	options.OnConnect = func(string) {
		what = "the connection is lost"
		if said.over() {
			said.say("connected")
		}
	}
	options.OnDisconnect = func(reason error, _ time.Duration) {
		u := &remote.Unreachable{Server: server.URL, Err: unprefixed(reason)}
		said.tell(fmt.Errorf("%s: %s", what, u.Reason()), 0)
		what = "cannot connect"
	}
	return options
}
