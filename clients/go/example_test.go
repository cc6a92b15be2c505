package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	fanfare "fanfare/clients/go"
)

func Example() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	client, err := fanfare.Connect(url, fanfare.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	subscription, err := client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"news.*"}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Publish(ctx, "news.eu", map[string]string{"text": "hello"}); err != nil {
		log.Fatal(err)
	}
	for message, err := range subscription.Messages(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", message.Topic, message.Data)
		break
	}
	// Output:
	// news.eu: {"text":"hello"}
}

// What was read once is not read again, by another process either.
func ExampleSubscription_Cursor() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	client, err := fanfare.Connect(url, fanfare.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for n := range 5 {
		if _, err := client.Publish(ctx, "jobs", n); err != nil {
			log.Fatal(err)
		}
	}

	cursor := "all"
	for range 2 {
		subscription, err := client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"jobs"}, Since: cursor})
		if err != nil {
			log.Fatal(err)
		}
		for message, err := range subscription.Messages(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			var n int
			if err := message.Decode(&n); err != nil {
				log.Fatal(err)
			}
			fmt.Println("job", n)
			cursor = subscription.Cursor() // to be kept together with the work that was done
			if n == 2 || n == 4 {
				break
			}
		}
		fmt.Println("stopped")
	}
	// Output:
	// job 0
	// job 1
	// job 2
	// stopped
	// job 3
	// job 4
	// stopped
}

// A loss stands where messages are missing, and the loop goes on.
func ExampleLostError() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	client, err := fanfare.Connect(url, fanfare.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Publish(ctx, "prices", 17); err != nil {
		log.Fatal(err)
	}

	// A cursor of a log that is no more.
	subscription, err := client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"prices"}, Since: "3f9a1c20-7"})
	if err != nil {
		log.Fatal(err)
	}
	for message, err := range subscription.Messages(ctx) {
		if lost, ok := errors.AsType[*fanfare.LostError](err); ok {
			fmt.Println("load anew:", lost.Topics)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", message.Topic, message.Data)
		break
	}
	// Output:
	// load anew: [prices]
	// prices: 17
}

// The same key means the same message, whoever publishes it, and however often.
func ExampleClient_PublishWithKey() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	client, err := fanfare.Connect(url, fanfare.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	first, err := client.PublishWithKey(ctx, "orders", "order-1042", "a bell")
	if err != nil {
		log.Fatal(err)
	}
	again, err := client.PublishWithKey(ctx, "orders", "order-1042", "a bell")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Duplicate, again.ID == first.ID)

	_, err = client.PublishWithKey(ctx, "orders", "order-1042", "two bells")
	if e, ok := errors.AsType[*fanfare.Error](err); ok {
		fmt.Println(e.Code)
	}
	// Output:
	// true true
	// conflict
}

func ExampleClient_Presence() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()

	client, err := fanfare.Connect(url, fanfare.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"room.1"}}); err != nil {
		log.Fatal(err)
	}
	presence, err := client.Presence(ctx, "room.1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(presence.Members), "member")
	// Output:
	// 1 member
}
