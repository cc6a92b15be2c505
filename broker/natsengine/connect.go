package natsengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// startPatience is how long the start waits for a log that is not there yet.
	startPatience = 30 * time.Second
	// attemptTimeout bounds one attempt.
	attemptTimeout = 3 * time.Second
	// startPause is how long it waits between two attempts.
	startPause = 500 * time.Millisecond
	// connectTimeout bounds one attempt to connect to a server.
	connectTimeout = 2 * time.Second
	// reconnectWait is how long the connection rests between two attempts on the same server.
	reconnectWait = 250 * time.Millisecond
	// pingInterval and maxPings tell a connection that is dead: after some four seconds.
	pingInterval = time.Second
	maxPings     = 3
	// writeTimeout ends one whose server takes nothing any more. Who writes to it keeps everybody else waiting,
	// the pings too.
	writeTimeout = 4 * time.Second
)

// inboxPrefix begins the subjects that answers and the log come in at.
const inboxPrefix = "_FANFARE"

// connect connects to the cluster, or to the server in this process.
func (e *Engine) connect() (err error) {
	options := []nats.Option{
		// Others must not be able to listen to what is sent to this node, or they could send it more.
		nats.CustomInboxPrefix(inboxPrefix),
		nats.Name("fanfare " + e.node),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // servers that refuse it may know better soon
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // what cannot be sent fails at once
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.FlusherTimeout(writeTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				e.trouble.note("disconnected", err)
			}
			e.link.Load().cut()
			e.kick()
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			e.link.Store(newLink())
			e.follower.restart(errors.New("reconnected"))
			e.kick()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrPermissionViolation) {
				e.follower.restart(err) // it may have been what it listens to that overflowed
			}
			e.trouble.note("connection", err)
		}),
	}
	if e.server != nil {
		if e.conn, err = nats.Connect("", append(options, e.server.connectOptions(ownUser)...)...); err != nil {
			return err
		}
		e.voice = e.conn
		if e.options.Listen != "" {
			e.voice, err = nats.Connect("", append(options, e.server.connectOptions(voiceUser)...)...)
		}
		return err
	}
	o := e.options
	if o.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(o.CredentialsFile))
	}
	if o.TLS.CAFile != "" {
		options = append(options, nats.RootCAs(o.TLS.CAFile))
	}
	if o.TLS.CertFile != "" {
		options = append(options, nats.ClientCert(o.TLS.CertFile, o.TLS.KeyFile))
	}
	e.conn, err = nats.Connect(strings.Join(o.URLs, ","), options...)
	e.voice = e.conn
	return err
}

// await tries something again until it works, or the patience at the start is over. It gives what went
// wrong last.
func (e *Engine) await(ctx context.Context, what string, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	logged := false
	for {
		// A server without a leader to ask says nothing at all.
		once, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := attempt(once)
		cancel()
		if err == nil || !isPassing(err) {
			return explain(what, err)
		}
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("nobody answers for JetStream: is it enabled, has it a leader, and may this user publish to $JS.API.>"+
				" and subscribe to %s.>? (%w)", inboxPrefix, err)
		}
		if !logged {
			logged = true
			e.options.Logger.Warn("waiting_for_nats", "step", what, "error", err, "patience", startPatience)
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return explain(what, err)
		}
	}
}

// isPassing tells whether something that went wrong may be right soon: servers that are about to start, or
// to choose a leader.
func isPassing(err error) bool {
	if api, ok := errors.AsType[*apiError](err); ok {
		return api.Code == 503
	}
	for _, passing := range []error{
		errNoLeader, nats.ErrNoServers, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionClosed, context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "no such host")
}

func explain(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
