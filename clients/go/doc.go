// Package fanfare is the Go client of Fanfare, a server for publish and subscribe.
//
//	client, err := fanfare.Connect("http://localhost:8080", fanfare.Options{})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//
//	receipt, err := client.Publish(ctx, "news.eu", map[string]any{"text": "hello"})
//
//	subscription, err := client.Subscribe(ctx, fanfare.SubscribeOptions{Topics: []string{"news.*"}})
//	if err != nil {
//		return err
//	}
//	for message, err := range subscription.Messages(ctx) {
//		…
//	}
//
// Connect returns at once, and the client stays connected in the background: when the connection breaks, or the
// server restarts, it comes back, after a pause that grows from a quarter of a second to 20 s and is a little random.
// Only Close ends it, or a server that says not to come back; Done and Err tell. OnConnect and OnDisconnect in
// the Options let a program show how things are.
//
// # Subscribing
//
// Subscribe returns when the server has acknowledged the subscription. Whatever is published after that is in it: each
// message once, in the order of the log, whatever breaks in between.
//
// Or else the reader is told. Where messages are gone for good - the log was shorter than the break, or was purged, or
// the server keeps it in memory and was restarted - a *LostError stands between the messages, where they are
// missing. The loop may go on after it (IsPassing tells). A program that shows a state loads that anew:
//
//	for message, err := range subscription.Messages(ctx) {
//		if lost, ok := errors.AsType[*fanfare.LostError](err); ok {
//			reload(lost.Topics)
//			continue
//		}
//		if err != nil {
//			return err // it is over
//		}
//		show(message)
//	}
//
// To leave the loop unsubscribes. Next reads a single message, for those who want to read on later.
//
// # Coming back in another process
//
// Subscription.Cursor is what has been read. Keep it with the work that was done, and begin there, with Since, the
// next time: nothing is missing in between, or a *LostError comes first. Since: "all" begins with all that is retained, and
// Last: 10 with the last ten messages. OnCaughtUp tells where the past ends.
//
// # Slow readers
//
// A reader holds up nobody: not the server, not the other subscriptions of the client. Up to Buffer messages wait for
// it; then the client leaves the subscription on the server, and takes it up again, from where it was, when half of them
// are read. So the log is the buffer, and nothing is lost as long as it reaches back. Where only the newest counts, Overflow lets
// the rest go.
//
// # Publishing
//
// Publish returns when the message is in the log. Until then it is sent again after each reconnect, with a key by which the
// server knows it again, so that it is there once. CodeTimeout alone leaves open whether it is. PublishWithKey is for a key of
// the program's own, which outlives the process.
//
// # Tokens
//
// A token that a program has once and for all is Options.Token. Options.TokenSource gets one whenever that is needed, and
// before a JWT expires, so that the connection goes on:
//
//	fanfare.Options{TokenSource: func(ctx context.Context) (string, error) { return signer.Token(ctx) }}
//
// A token never stands in a URL.
//
// # Errors
//
// Errors of the server are an *Error with its stable code; the codes that end a subscription end that one alone.
//
//	if e, ok := errors.AsType[*fanfare.Error](err); ok && e.Code == fanfare.CodeForbidden {
//		…
//	}
//
// The methods of a Client may be called concurrently. A Subscription has one reader; its other methods may be called
// concurrently, too. Callbacks say who calls them.
package fanfare
