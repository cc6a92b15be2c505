package natsengine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// link is the time from when the connection is there to its loss. The connection itself is not asked, which
// does not answer while it tries to come back.
type link struct {
	ctx context.Context //nolint:containedctx // it is the connection's life
	cut context.CancelFunc
	// verified tells that the log is known to be the one whose messages this node has answered and delivered.
	verified atomic.Bool
}

func newLink() *link {
	l := &link{}
	l.ctx, l.cut = context.WithCancel(context.Background())
	return l
}

func (l *link) isUp() bool { return l.ctx.Err() == nil }

// isGood tells whether messages can be published over it.
func (l *link) isGood() bool { return l.isUp() && l.verified.Load() }

// request asks something of the server, and does not wait for longer than that, nor for what was asked over
// a connection that is gone.
func (e *Engine) request(ctx context.Context, conn *nats.Conn, m *nats.Msg, patience time.Duration) (*nats.Msg, error) {
	link := e.link.Load()
	if !link.isUp() {
		return nil, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	defer context.AfterFunc(link.ctx, func() { cut(nats.ErrDisconnected) })()
	type answer struct {
		reply *nats.Msg
		err   error
	}
	answered := make(chan answer, 1)
	go func() { // it does not return, either, while the connection tries to come back
		reply, err := conn.RequestMsgWithContext(ctx, m)
		answered <- answer{reply, err}
	}()
	select {
	case a := <-answered:
		if a.err == nil || ctx.Err() == nil {
			return a.reply, a.err
		}
	case <-ctx.Done():
	}
	return nil, context.Cause(ctx)
}
