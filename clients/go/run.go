package fanfare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// tokenTime is how long a source of tokens may take.
const tokenTime = 30 * time.Second

// steady is how long a connection lasts that proves that the server is well. One that brought a message or an
// answer proves it, too.
const steady = 5 * time.Second

// CloseError is a connection that the server has closed.
type CloseError struct {
	// Code is the close code of RFC 6455, section 7.4, or one of the server's own, from 4000.
	Code   int
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string {
	return fmt.Sprintf("fanfare: the server has closed the connection: %d %s", e.Code, e.Reason)
}

// The close codes that matter here: from closeFinal on the server does not want the client back.
const (
	closeFinal        = 4500
	closeUnauthorized = 4500
)

// run connects again and again. It gives the reason when the server does not want that, or nil after Close.
func (c *Client) run() *Error {
	for {
		conn, err := c.connect()
		if c.ctx.Err() != nil {
			return nil //nolint:nilerr // the program wanted it
		}
		if failure := c.judge(err); failure != nil {
			return failure
		}
		if conn != nil && (conn.useful || time.Since(conn.begun) >= steady) {
			c.backoff.reset()
		}
		pause := c.backoff.next()
		if disconnected := c.options.OnDisconnect; disconnected != nil {
			c.callSoon(func() { disconnected(err, pause) })
		}
		if !sleep(c.ctx, pause) {
			return nil
		}
	}
}

// judge tells what the end of a connection means for the client: nil to come back.
func (c *Client) judge(err error) *Error {
	closing, closed := errors.AsType[*CloseError](err)
	refusal, refused := errors.AsType[*refusedError](err)
	switch {
	case refused && refusal.reason.Code == CodeUnauthorized, closed && closing.Code == closeUnauthorized:
		// It may have been one that had just expired.
		if c.refusals++; c.options.TokenSource != nil && c.refusals < 2 {
			return nil
		}
		if refused {
			return refusal.reason
		}
		return errorf(CodeUnauthorized, "the server does not know the client")
	case closed && closing.Code >= closeFinal:
		return errorf(CodeDisconnected, "%d %s", closing.Code, closing.Reason)
	default:
		return nil
	}
}

// connect makes a connection, and serves it to its end, which has a reason. The connection is nil if there was none.
func (c *Client) connect() (*connection, error) {
	// The token comes first: once connected, there are 10 s to show it.
	token, err := c.token(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("fanfare: there is no token: %w", err)
	}
	conn, err := c.dial(token)
	if err != nil {
		return nil, err
	}
	err = conn.serve()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.detachLocked(conn)
	return conn, err
}

// token gets the token for a connection, or nothing if there is to be none.
func (c *Client) token(ctx context.Context) (string, error) {
	if c.options.TokenSource == nil {
		return c.options.Token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	return c.options.TokenSource(ctx)
}

// attachLocked is for a connection on which the server knows who the client is: all goes on there.
func (c *Client) attachLocked(conn *connection) {
	c.conn = conn
	for _, s := range c.subscriptions {
		s.askLocked()
	}
	c.sendCallsLocked()
}

// detachLocked keeps what a connection that is over has brought the subscriptions to.
func (c *Client) detachLocked(conn *connection) {
	if c.conn != conn {
		return
	}
	c.conn = nil
	for _, route := range conn.router.routes {
		if s := route.subscription; s.route == route {
			s.moveLocked(conn)
			s.route = nil
		}
	}
}

// refusedError is a connection, or a token, that the server does not take.
type refusedError struct{ reason *Error }

// Error implements error.
func (e *refusedError) Error() string { return e.reason.Error() }

// Unwrap gives what the server has said.
func (e *refusedError) Unwrap() error { return e.reason }

// closing gives the reason of a socket that failed: that of the server, if it gave one.
func closing(err error) error {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		return &CloseError{Code: int(e.Code), Reason: e.Reason}
	}
	return fmt.Errorf("fanfare: the connection is lost: %w", err)
}

// sleep waits. It is false if the context has ended before.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
