package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"fanfare/app/remote"
	"fanfare/models"
)

func (c command) clientsCommand() *cobra.Command {
	var f remoteFlags
	var topic, user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "List the live connections",
		Long: `List the live connections, the oldest first: as a table on a terminal, else a JSON object a line, as GET /clients
has them. With authentication this is for administrators.`,
		Example: `  fanfare clients
  fanfare clients --topic news.eu
  fanfare clients --user ada --json | jq -r .id`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if topic != "" {
				if _, err := models.ParseTopic(topic); err != nil {
					return usageError{flagError("--topic", err)}
				}
				query.Set("topic", topic)
			}
			if user != "" {
				query.Set("user", user)
			}
			server, err := c.server(f)
			if err != nil {
				return err
			}
			return c.list(cmd.Context(), server, asJSON, listing{
				name: "clients", query: query,
				head: []string{"ID", "USER", "TRANSPORT", "ADDRESS", "CONNECTED", "DELIVERED", "QUEUED", "SUBSCRIPTIONS"},
				row:  clientRow,
			})
		},
	}
	addRemoteFlags(cmd, &f)
	flags := cmd.Flags()
	flags.StringVar(&topic, "topic", "", "only clients that a message to `TOPIC` would reach")
	flags.StringVar(&user, "user", "", "only clients of the user `NAME`")
	flags.BoolVar(&asJSON, "json", false, "JSON on a terminal, too")
	_ = cmd.RegisterFlagCompletionFunc("topic", c.completeTopics(&f, true))
	_ = cmd.RegisterFlagCompletionFunc("user", cobra.NoFileCompletions)
	cmd.AddCommand(c.disconnectCommand())
	return cmd
}

// shownSubscriptions is how many of a client's subscriptions a table shows.
const shownSubscriptions = 3

func clientRow(text jsontext.Value) ([]string, error) {
	client, err := decode[models.ClientInfo](text)
	patterns := client.Subscriptions
	more := ""
	if len(patterns) > shownSubscriptions {
		more = fmt.Sprintf(" and %d more", len(patterns)-shownSubscriptions)
		patterns = patterns[:shownSubscriptions]
	}
	names := make([]string, 0, len(patterns))
	for _, p := range patterns {
		names = append(names, string(p))
	}
	return []string{
		client.ID, client.User, string(client.Transport), client.RemoteAddress, ago(client.ConnectedAt),
		strconv.FormatUint(client.Delivered, 10), ByteSize(client.QueuedBytes).String(), strings.Join(names, " ") + more,
	}, err
}

func (c command) disconnectCommand() *cobra.Command {
	var f remoteFlags
	var user string
	cmd := &cobra.Command{
		Use:   "disconnect {ID... | --user NAME}",
		Short: "Disconnect clients, or all clients of a user",
		Long: `Disconnect clients, or all clients of a user, with a code that tells them not to come back. With authentication this
is for administrators.`,
		Example: `  fanfare clients disconnect 019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10
  fanfare clients disconnect --user ada`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (user == "") {
				return usageError{errors.New("want the ids of clients, or --user NAME")}
			}
			server, err := c.server(f)
			if err != nil {
				return err
			}
			for _, id := range args {
				if _, err := uuid.Parse(id); err != nil {
					return usageError{fmt.Errorf("%q is not the id of a client", id)}
				}
			}
			for _, id := range args {
				if err := server.Do(cmd.Context(), remote.Request{Method: http.MethodDelete, Path: []string{"clients", id}}, nil); err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
			}
			if user == "" {
				return nil
			}
			var answer struct {
				Disconnected int      `json:"disconnected"`
				Unreachable  []string `json:"unreachable"`
			}
			err = server.Do(cmd.Context(), remote.Request{Method: http.MethodDelete, Path: []string{"clients"}, Query: url.Values{"user": {user}}}, &answer)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(c.stdout, "{\"disconnected\":%d}\n", answer.Disconnected); err != nil {
				return err
			}
			return missing(answer.Unreachable)
		},
	}
	addRemoteFlags(cmd, &f)
	cmd.Flags().StringVar(&user, "user", "", "all clients of the user `NAME`")
	_ = cmd.RegisterFlagCompletionFunc("user", cobra.NoFileCompletions)
	return cmd
}
