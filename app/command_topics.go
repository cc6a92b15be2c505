package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"fanfare/app/remote"
	"fanfare/models"
)

func (c command) topicsCommand() *cobra.Command {
	var f remoteFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "topics [PATTERN]",
		Short: "List the topics with a subscriber or a retained message",
		Long: `List the topics with a subscriber or a retained message, or those of them that match PATTERN: as a table on a
terminal, else a JSON object a line, as GET /topics has them. With authentication this is for administrators.`,
		Example: `  fanfare topics
  fanfare topics 'news.>'
  fanfare topics --json | jq -r .name`,
		Args:              arguments(cobra.MaximumNArgs(1)),
		ValidArgsFunction: c.completeTopics(&f, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if len(args) == 1 {
				if _, err := models.ParsePattern(args[0]); err != nil {
					return usageError{flagError(fmt.Sprintf("%q", args[0]), err)}
				}
				query.Set("pattern", args[0])
			}
			server, err := c.server(f)
			if err != nil {
				return err
			}
			return c.list(cmd.Context(), server, asJSON, listing{
				name: "topics", query: query,
				head: []string{"TOPIC", "SUBSCRIBERS", "MESSAGES", "LAST"},
				row:  topicRow,
			})
		},
	}
	addRemoteFlags(cmd, &f)
	cmd.Flags().BoolVar(&asJSON, "json", false, "JSON on a terminal, too")
	cmd.AddCommand(c.purgeCommand())
	return cmd
}

func topicRow(text jsontext.Value) ([]string, error) {
	topic, err := decode[models.TopicInfo](text)
	return []string{string(topic.Name), strconv.Itoa(topic.Subscribers), strconv.Itoa(topic.Messages), ago(topic.LastTime)}, err
}

func (c command) purgeCommand() *cobra.Command {
	var f remoteFlags
	cmd := &cobra.Command{
		Use:   "purge TOPIC",
		Short: "Remove a topic's messages from the log",
		Long: `Remove a topic's messages from the log. Who was still to get some of them is told that something is lost. With
authentication this is for administrators.`,
		Example:           `  fanfare topics purge news.eu`,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: c.completeTopics(&f, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := models.ParseTopic(args[0]); err != nil {
				return usageError{flagError(fmt.Sprintf("%q", args[0]), err)}
			}
			server, err := c.server(f)
			if err != nil {
				return err
			}
			return server.Do(cmd.Context(), remote.Request{Method: http.MethodDelete, Path: []string{"topics", args[0], "messages"}}, nil)
		},
	}
	addRemoteFlags(cmd, &f)
	return cmd
}
