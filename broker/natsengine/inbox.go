package natsengine

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// inbox is where messages come in for this node alone, in order. A message is whatever it says of itself, unlike with
// nats.Subscription.NextMsg: that makes an error of one with a header of a status, which anybody can publish.
type inbox struct {
	subject      string
	messages     chan *nats.Msg
	subscription *nats.Subscription
}

// openInbox opens one for so many messages that were not taken yet. With more the connection complains.
func (e *Engine) openInbox(size int) (inbox, error) {
	i := inbox{subject: e.conn.NewInbox(), messages: make(chan *nats.Msg, size)}
	var err error
	i.subscription, err = e.conn.ChanSubscribe(i.subject, i.messages)
	return i, err
}

func (i inbox) close() { _ = i.subscription.Unsubscribe() }

// next waits for a message, for some time.
func (i inbox) next(ctx context.Context, patience time.Duration) (*nats.Msg, error) {
	if m := i.waiting(); m != nil {
		return m, nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case m := <-i.messages:
		return m, nil
	case <-timer.C:
		return nil, nats.ErrTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// waiting gives the next message if it is there, else nil.
func (i inbox) waiting() *nats.Msg {
	select {
	case m := <-i.messages:
		return m
	default:
		return nil
	}
}
