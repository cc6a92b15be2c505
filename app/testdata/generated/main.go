// Somebody's program: it publishes a message and looks for its topic, with a client that oapi-codegen has made.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	client, err := NewClientWithResponses(url)
	if err != nil {
		return err
	}
	var message PublishJSONRequestBody = map[string]any{"text": "hello"}
	published, err := client.PublishWithResponse(ctx, "news.eu", &PublishParams{}, message)
	if err != nil {
		return err
	}
	if published.JSON200 == nil {
		return fmt.Errorf("publish: %s", published.Status())
	}
	receipt, err := published.JSON200.AsReceipt()
	if err != nil {
		return err
	}
	pattern := "news.*"
	topics, err := client.ListTopicsWithResponse(ctx, &ListTopicsParams{Pattern: &pattern})
	if err != nil {
		return err
	}
	if topics.StatusCode() != http.StatusOK {
		return fmt.Errorf("list: %s", topics.Status())
	}
	topic := topics.JSON200.Topics[0]
	fmt.Printf("%s has %d message: %t\n", topic.Name, topic.Messages, *topic.LastId == receipt.Id)

	refused, err := client.PublishWithResponse(ctx, "news..eu", &PublishParams{}, message)
	if err != nil {
		return err
	}
	fmt.Println(refused.ApplicationproblemJSON400.Code == CodeInvalidTopic)
	return nil
}
