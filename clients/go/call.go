package fanfare

import (
	"context"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// answerTime is how long an answer is waited for where the context has no deadline.
const answerTime = 30 * time.Second

// call is a request that is sent over each connection anew, in the order of the calls, until it is answered or
// nobody waits any more.
type call struct {
	request request
	text    []byte
	// done is closed when answer or err is there, one of them.
	done   chan struct{}
	answer *frame
	err    error
}

// Receipt says that a message is in the log.
type Receipt struct {
	ID    string
	Topic string
	// Duplicate tells that the key of PublishWithKey was used before, and ID is the message of then.
	Duplicate bool
}

// Publish writes a message to the log, and returns when it is there. Data is anything that encoding/json
// can encode; a json.RawMessage is sent as it is. The context bounds the wait, over all reconnects, which is 30 s
// if it has no deadline; a CodeTimeout then leaves open whether the message is in the log. When the connection
// breaks before the answer, the message is sent again, and is in the log once. Whatever the server refuses it for
// is an error at once, with the server's code.
//
// Those that run at the same time are all on their way together. To publish much, call it from several
// goroutines.
func (c *Client) Publish(ctx context.Context, topic string, data any) (Receipt, error) {
	receipt, err := c.PublishWithKey(ctx, topic, uuid.NewString(), data)
	receipt.Duplicate = false // if it was there, then from before a reconnect
	return receipt, err
}

// PublishWithKey is Publish with an idempotency key: who publishes to the same topic with the same key again, even
// from another process, gets the receipt of the first time. The server keeps keys for its
// history.idempotency_window, 2 minutes by default. The same key with other data is a CodeConflict.
func (c *Client) PublishWithKey(ctx context.Context, topic, key string, data any) (Receipt, error) {
	text, err := encode(data)
	if err != nil {
		return Receipt{}, &Error{Code: CodeInvalidJSON, Message: err.Error(), cause: err}
	}
	answer, err := c.do(ctx, request{Action: "publish", Topic: topic, Key: key, Data: text})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: answer.ID, Topic: topic, Duplicate: answer.Duplicate}, nil
}

// do makes a call and waits for its answer.
func (c *Client) do(ctx context.Context, r request) (*frame, error) {
	if !utf8.ValidString(r.Topic) {
		return nil, errNotUTF8()
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx, "there was no time to ask")
	}
	call := &call{request: r, done: make(chan struct{})}
	if err := c.begin(call); err != nil {
		return nil, err
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		if c.forget(call) {
			return nil, contextError(ctx, "no answer came in time")
		}
	}
	return call.answer, call.err
}

// errNotUTF8 is for a name that would become another one in JSON.
func errNotUTF8() *Error { return errorf("invalid_topic", "a topic must be valid UTF-8") }

func (c *Client) begin(call *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return c.errLocked()
	}
	call.request.Ref = c.nextRefLocked()
	call.text = encodeRequest(call.request)
	c.calls[call.request.Ref] = call
	if c.conn != nil {
		c.sendCallLocked(call)
	}
	return nil
}

// forget gives a call up. It is false if the call is done: then both must not happen.
func (c *Client) forget(call *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-call.done:
		return false
	default:
		delete(c.calls, call.request.Ref)
		return true
	}
}

// sendCallLocked sends a call, unless the server would close the connection for it.
func (c *Client) sendCallLocked(call *call) {
	limits := c.conn.limits
	switch data := len(call.request.Data); {
	case limits.MessageSize > 0 && data > limits.MessageSize:
		c.finishLocked(call, nil, errorf(CodePayloadTooLarge, "a message has at most %d bytes, not %d", limits.MessageSize, data))
	case limits.FrameSize > 0 && len(call.text) > limits.FrameSize:
		c.finishLocked(call, nil, errorf(CodePayloadTooLarge, "a frame has at most %d bytes, not %d", limits.FrameSize, len(call.text)))
	default:
		c.conn.sendLocked(call.text)
	}
}

// sendCallsLocked sends those that are not answered yet over a new connection.
func (c *Client) sendCallsLocked() {
	for _, ref := range slices.Sorted(maps.Keys(c.calls)) {
		c.sendCallLocked(c.calls[ref])
	}
}

// answerLocked is for an answer to a call, or its error. A server that goes leaves the answer to the next.
func (c *Client) answerLocked(call *call, answer *frame, err *Error) {
	switch {
	case err == nil:
		c.finishLocked(call, answer, nil)
	case err.Code != codeShuttingDown:
		c.finishLocked(call, nil, err)
	}
}

func (c *Client) finishLocked(call *call, answer *frame, err error) {
	delete(c.calls, call.request.Ref)
	call.answer, call.err = answer, err
	close(call.done)
}
