package fanfare

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// maxUntold is how many callbacks may wait to be called.
const maxUntold = 16

// Client is a connection to a server that comes back by itself. Its methods may be called concurrently.
type Client struct {
	// Set by Connect, never changed.
	options Options
	url     string
	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	// done is closed when the client has ended, and none of its goroutines runs any more.
	done chan struct{}
	// tell has the callbacks of Options that are to be called.
	tell chan func()

	// Owned by the goroutine that connects.
	backoff  backoff
	refusals int // of tokens, in a row

	// mu guards the rest, and all that is said to be guarded by it of subscriptions, calls and connections. Nothing
	// blocks or calls out under it.
	mu sync.Mutex
	// conn is the present connection, once the server has taken the token; nil without one.
	conn *connection
	// subscriptions are in the order in which they were made; patterns has each of their patterns.
	subscriptions []*Subscription
	patterns      map[string]*Subscription
	calls         map[uint64]*call
	lastRef       uint64
	ended         bool
	failure       *Error // why it has ended, nil after Close
}

// Connect makes a client of the server at a URL, http://, https://, ws:// or wss://, and returns at once: it
// connects in the background, and stays connected until Close, or until the server says not to come back. Only a
// URL or options that cannot be right are an error.
func Connect(server string, options Options) (*Client, error) {
	url, err := endpoint(server)
	if err != nil {
		return nil, err
	}
	if options.Token != "" && options.TokenSource != nil {
		return nil, errors.New("fanfare: either Token or TokenSource, not both")
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		options: options, url: url, ctx: ctx, cancel: cancel,
		done:     make(chan struct{}),
		tell:     make(chan func(), maxUntold),
		backoff:  backoff{first: firstPause},
		patterns: make(map[string]*Subscription),
		calls:    make(map[uint64]*call),
	}
	go func() {
		defer close(c.done)
		var telling sync.WaitGroup
		telling.Go(c.callBack)
		c.end(c.run())
		telling.Wait()
	}()
	return c, nil
}

// callBack calls the callbacks of Options. They have a goroutine of their own, so that they may wait for the client.
func (c *Client) callBack() {
	for {
		select {
		case call := <-c.tell:
			call()
		case <-c.ctx.Done():
			return
		}
	}
}

// callSoon has a callback called. If too many were not yet, it waits.
func (c *Client) callSoon(call func()) {
	select {
	case c.tell <- call:
	case <-c.ctx.Done():
	}
}

// Close ends the subscriptions, the calls that wait, with CodeClosed, and the connection, and returns when that is
// done. The callbacks of Options must not call it.
func (c *Client) Close() {
	c.end(nil)
	<-c.done
}

// Done is closed when the client has ended: by Close, or because the server does not want it back.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the client has ended: an *Error, or nil after Close and as long as it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return nil
	}
	return c.failure
}

// end ends everything, with an error unless the program wanted it. Only the first counts.
func (c *Client) end(failure *Error) {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.failure = true, failure
	for len(c.subscriptions) > 0 {
		c.subscriptions[0].endLocked(c.errLocked())
	}
	for _, call := range c.calls {
		c.finishLocked(call, nil, c.errLocked())
	}
}

// errLocked is what everybody gets from a client that has ended.
func (c *Client) errLocked() *Error {
	if c.failure != nil {
		return c.failure
	}
	return errClosed()
}

func (c *Client) nextRefLocked() uint64 {
	c.lastRef++
	return c.lastRef
}

func (c *Client) removeLocked(s *Subscription) {
	c.subscriptions = slices.DeleteFunc(c.subscriptions, func(other *Subscription) bool { return other == s })
}
