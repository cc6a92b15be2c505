package fanfare

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
	"unicode/utf8"
)

// defaultBuffer is how many messages wait for a reader unless it says otherwise.
const defaultBuffer = 1000

// SubscribeOptions is what to subscribe to, and how.
type SubscribeOptions struct {
	// Topics are topics, or patterns: in news.* the star is one token, and in news.> there may be more of them. All
	// of them are one subscription, in one order, and are allowed together or not at all.
	Topics []string

	// Since begins behind the message with this id; a *LostError comes first if messages after that are not retained any
	// more. "all" begins with all that is retained. Last begins with the last so many messages over all topics, 1 to
	// 10,000. Only one of them. Default: what comes from now on.
	Since string
	Last  int

	// Overflow is for a reader that does not keep up. Default: OverflowDisconnect, which loses nothing.
	Overflow Overflow
	// Buffer is how many messages may wait for the reader before that. Default: 1,000.
	Buffer int

	// OnPresence is told who is subscribed to the topics, and who comes and goes. OnCaughtUp is called when what Since
	// or Last asked for has been read, again after each reconnect: what comes now is live. Both are called by Next and
	// Messages, between the messages. Default: nil.
	OnPresence func(PresenceEvent)
	OnCaughtUp func()
}

// Subscription is what comes for some topics, each message once and in order. It is read with Messages or with Next,
// by one goroutine at a time. The other methods may be called concurrently.
type Subscription struct {
	// Set by Subscribe, never changed.
	client  *Client
	options SubscribeOptions
	// ready is closed by the first ack, over at the end.
	ready, over chan struct{}

	// wake has the reader look at the queue.
	wake chan struct{}

	// Guarded by the client's mu.

	// since and last are what to ask the server for, when it is to be asked again.
	since string
	last  int
	// route is the subscribe that it has on the present connection. It is nil without one, while it rests, and until
	// retry, when it was refused for now.
	route    *route
	resting  bool
	retry    *time.Timer
	refusals backoff
	// given is the last message that the queue was given; read is the cursor of the reader while messages wait.
	given position
	read  string
	queue queue
	ended bool
	err   *Error
}

// Subscribe begins a subscription, and returns when the server has acknowledged it: from then on everything that is
// published is in it. The context bounds that wait and no more; without a deadline it may take until the server can be
// reached. Where the server refuses it for good, that is the error, with its code.
func (c *Client) Subscribe(ctx context.Context, options SubscribeOptions) (*Subscription, error) {
	options.Topics = distinct(options.Topics)
	if options.Buffer <= 0 {
		options.Buffer = defaultBuffer
	}
	s := &Subscription{
		client: c, options: options,
		ready: make(chan struct{}), over: make(chan struct{}), wake: make(chan struct{}, 1),
		since: options.Since, last: options.Last,
		refusals: backoff{first: askPause},
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		return s, nil
	case <-s.over:
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, s.err
	case <-ctx.Done():
		s.Close()
		return nil, contextError(ctx, "the server has not acknowledged the subscription in time")
	}
}

func distinct(topics []string) (all []string) {
	for _, topic := range topics {
		if !slices.Contains(all, topic) {
			all = append(all, topic)
		}
	}
	return all
}

func (s *Subscription) begin() error {
	if len(s.options.Topics) == 0 {
		return errorf("invalid_topic", "there must be a topic to subscribe to")
	}
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return c.errLocked()
	}
	for _, pattern := range s.options.Topics {
		if !utf8.ValidString(pattern) {
			return errNotUTF8()
		}
		if c.patterns[pattern] != nil {
			return errorf(CodeConflict, "the client is subscribed to %s already", pattern)
		}
	}
	for _, pattern := range s.options.Topics {
		c.patterns[pattern] = s
	}
	c.subscriptions = append(c.subscriptions, s)
	s.askLocked()
	return nil
}

// Topics gives the patterns.
func (s *Subscription) Topics() []string { return slices.Clone(s.options.Topics) }

// Cursor is the id to come back with, as Since, even from another process: nothing up to it is missing, and nothing
// after it was read. In a loop over Messages that includes the message of the loop.
func (s *Subscription) Cursor() string {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.queue.entries) > 0 {
		return s.read
	}
	if c.conn != nil {
		s.moveLocked(c.conn)
	}
	s.read = s.since // or what comes next would take it back
	return s.read
}

// Close ends the subscription. Nothing is read from it any more.
func (s *Subscription) Close() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.endLocked(errClosed())
}

// Messages gives the messages, as they come. To leave the loop ends the subscription.
//
// The error is a *LostError or a *DroppedError where messages are missing, and then the loop may go on. Any other is
// the last that comes: an *Error, if the server has ended the subscription or the client; or that of the context. The
// loop ends without an error when the program closes the subscription or the client.
func (s *Subscription) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		defer s.Close()
		for {
			message, err := s.Next(ctx)
			if isClosed(err) || !yield(message, err) || err != nil && !IsPassing(err) {
				return
			}
		}
	}
}

// IsPassing tells whether a subscription goes on after an error of its loop: a *LostError or a *DroppedError.
func IsPassing(err error) bool {
	if _, lost := errors.AsType[*LostError](err); lost {
		return true
	}
	_, dropped := errors.AsType[*DroppedError](err)
	return dropped
}

// Next gives the next message, and waits for it. The errors are those of Messages, and one with CodeClosed when the
// subscription or the client is closed. When the context ends, the subscription goes on.
func (s *Subscription) Next(ctx context.Context) (Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Message{}, err
		}
		e, ok, err := s.take()
		switch {
		case err != nil:
			return Message{}, err
		case !ok:
			select {
			case <-s.wake:
			case <-s.over:
			case <-ctx.Done():
			}
		case e.call != nil:
			e.call()
		case e.lost != nil:
			return Message{}, e.lost
		case e.dropped != nil:
			return Message{}, e.dropped
		default:
			return e.message, nil
		}
	}
}

// take takes what is first in the queue; false if there is nothing yet. The error is for a subscription that has
// ended, when all is taken.
func (s *Subscription) take() (entry, bool, error) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	e, ok := s.queue.pop()
	if !ok && s.ended {
		return e, false, s.err
	}
	if ok && e.isMessage() {
		s.read = e.message.ID
	}
	if s.resting && len(s.queue.entries) <= s.options.Buffer/2 {
		s.resting = false
		s.askLocked()
	}
	return e, ok, nil
}
