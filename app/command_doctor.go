package app

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanfare/app/doctor"
)

func (c command) doctorCommand() *cobra.Command {
	var f remoteFlags
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "doctor [URL]",
		Short: "Find out what is wrong between here and a server",
		Long: `Find out, step by step, what is wrong between here and a server: the name, the connection, TLS, whether it is
Fanfare and ready, the clocks, the token and what it is for, WebSockets, streams, proxies on the way. What is wrong
comes with what to do about it. Where it may, a message is published to a topic of its own, fanfare-doctor-...

The exit status is 0 if nothing is wrong, whatever the warnings, and 1 if something is.`,
		Example: `  fanfare doctor
  fanfare doctor https://fanfare.example.com --token-file ada.token`,
		Args:              arguments(cobra.MaximumNArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && f.url != "" {
				return usageError{errors.New("the URL is there twice: as an argument and as --url")}
			}
			if len(args) == 1 {
				f.url = args[0]
			}
			if patience < time.Millisecond {
				return usageError{errors.New("--patience: want 1ms or more")}
			}
			server, err := c.server(f)
			if err != nil {
				return err
			}
			transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
			if _, err := fmt.Fprintf(c.stdout, "%s\n\n", server.URL); err != nil {
				return err
			}
			failed := doctor.Examine(cmd.Context(), doctor.Options{Server: server, Transport: transport, Patience: patience, Report: c.reportFinding})
			switch failed {
			case 0:
				return nil
			case 1:
				return errors.New("1 check has failed")
			default:
				return fmt.Errorf("%d checks have failed", failed)
			}
		},
	}
	addRemoteFlags(cmd, &f)
	cmd.Flags().DurationVar(&patience, "patience", 5*time.Second, "how long each step may take")
	return cmd
}

// reportFinding prints a line, and another one with what to do.
func (c command) reportFinding(f doctor.Finding) {
	marks := []string{doctor.Good: "ok  ", doctor.Note: "note", doctor.Warning: "WARN", doctor.Bad: "FAIL"}
	if c.outTerminal {
		marks = []string{doctor.Good: "✓", doctor.Note: "·", doctor.Warning: "!", doctor.Bad: "✗"}
	}
	mark := marks[f.Level]
	_, _ = fmt.Fprintf(c.stdout, "%s %-11s %s\n", mark, f.Check, plain(f.Text))
	if f.Advice != "" {
		_, _ = fmt.Fprintf(c.stdout, "%s%s\n", strings.Repeat(" ", len([]rune(mark))+13), plain(f.Advice))
	}
}
