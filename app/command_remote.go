package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"fanfare/app/remote"
)

// The environment variables of the commands that talk to a server. They are no configuration.
const (
	envURL   = "FANFARE_URL"
	envToken = "FANFARE_TOKEN"
)

// defaultURL is where a server is that nothing was configured for.
const defaultURL = "http://localhost:8080"

// The commands complete the names of topics within completionTime, or not at all.
const completionTime = time.Second

// defaultTimeout is for how long the commands try again.
const defaultTimeout = 30 * time.Second

// remoteFlags say which server a command talks to, and as whom.
type remoteFlags struct {
	url, token, tokenFile string
}

func addRemoteFlags(cmd *cobra.Command, f *remoteFlags) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "the server is at `URL` (default $"+envURL+", or "+defaultURL+")")
	flags.StringVar(&f.token, "token", "", "show the token or API key `TOKEN`, which others on this machine can see here (default $"+envToken+")")
	flags.StringVar(&f.tokenFile, "token-file", "", "show the token or API key in `FILE`, which is read again when needed")
	_ = cmd.MarkFlagFilename("token-file")
	_ = cmd.RegisterFlagCompletionFunc("token", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("url", cobra.NoFileCompletions)
}

// server is the one that the flags and the environment name.
func (c command) server(f remoteFlags) (*remote.Server, error) {
	text, source := f.url, "--url"
	if text == "" {
		text, source = c.getenv(envURL), envURL
	}
	u, err := remote.ParseURL(cmp.Or(text, defaultURL))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", source, err)}
	}
	if f.token != "" && f.tokenFile != "" {
		return nil, usageError{errors.New("either --token or --token-file, not both")}
	}
	s := &remote.Server{URL: u, Client: remote.NewClient(http.DefaultTransport)}
	s.Token = func() (string, error) { return checkToken(cmp.Or(f.token, c.getenv(envToken))) }
	if f.tokenFile != "" {
		s.Token = func() (string, error) { return readTokenFile(f.tokenFile) }
	}
	_, err = s.Token()
	return s, err
}

func readTokenFile(name string) (string, error) {
	file, err := os.Open(name) //nolint:gosec // the user names it
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was read
	line, err := readLine(file)
	if err == nil && line == "" {
		err = errors.New("there is no token in it")
	}
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return checkToken(line)
}

// checkToken wants what can stand in a header. It does not repeat it.
func checkToken(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("the token has to be ASCII without spaces: give all of it, and without \"Bearer\"")
	}
	return text, nil
}

// getenv gives a variable's value, the last that it has.
func (c command) getenv(name string) (value string) {
	for _, entry := range c.environ {
		if key, v, _ := strings.Cut(entry, "="); key == name {
			value = v
		}
	}
	return value
}

// isTerminal tells whether people read what is written to it, or write what is read.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && (isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd()))
}

// completeTopics completes the first argument of a command to a topic of the server, or every argument.
func (c command) completeTopics(f *remoteFlags, all bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		server, err := c.server(*f)
		if err != nil || len(args) > 0 && !all {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		names, _ := server.TopicsFrom(ctx, toComplete)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// arguments makes what is wrong with the arguments a mistake on the command line.
func arguments(want cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := want(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
