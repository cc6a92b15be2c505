package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"fanfare/app/remote"
)

// healthTimeout is how long a server may take to say that it is there.
const healthTimeout = 3 * time.Second

func (c command) healthCommand() *cobra.Command {
	var f remoteFlags
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell by the exit status whether a server is alive",
		Long: `Tell by the exit status whether a server is alive, or with --ready whether it wants traffic: for a container without
curl. It prints nothing if all is well.`,
		Example: `  fanfare health --url http://127.0.0.1:8080
  fanfare health --ready`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := c.server(f)
			if err != nil {
				return err
			}
			probe := "livez"
			if ready {
				probe = "readyz"
			}
			return askHealth(cmd.Context(), server, probe)
		},
	}
	addRemoteFlags(cmd, &f)
	cmd.Flags().BoolVar(&ready, "ready", false, "whether it wants traffic: not while it drains, or its log is out of reach")
	return cmd
}

func askHealth(ctx context.Context, server *remote.Server, probe string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	response, err := server.Send(ctx, remote.Request{Method: http.MethodGet, Path: []string{probe}})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s does not answer within %v", server.URL, healthTimeout)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s to /%s", server.URL, response.Status, probe)
	}
	return nil
}
