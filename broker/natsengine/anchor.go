package natsengine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// anchorShare is how many anchors there are in the time that messages are kept.
	anchorShare = 64
	// minAnchorInterval is the shortest time between two.
	minAnchorInterval = time.Second
	// troubledPatience is how long an answer is waited for while the log seems to be away: what a leader was
	// sent that is gone is never answered, and its successor is asked the sooner.
	troubledPatience = time.Second
)

// anchor sees to it that there is a message of this time that nothing but its age and the stream's size
// removes. The first node that comes to it publishes it.
func (e *Engine) anchor(ctx context.Context) error {
	interval := max(e.options.History.MaxAge/anchorShare, minAnchorInterval)
	n := time.Now().UnixNano() / int64(interval)
	if e.anchored.Load() == n {
		return nil
	}
	_, err := e.store(ctx, e.conn, e.note("anchor."+strconv.FormatInt(n, 10), nil, nats.Header{headerLastSubject: {"0"}}))
	if err == nil || isCode(err, errCodeWrongLastForOne) {
		e.anchored.Store(n)
		return nil
	}
	return err
}

// note is something of the engine's own for the log.
func (e *Engine) note(name string, payload []byte, header nats.Header) *nats.Msg {
	m := &nats.Msg{Subject: e.options.Prefix + "-log." + name, Header: nats.Header{headerStream: {e.options.Stream}}, Data: payload}
	for key, values := range header {
		m.Header[key] = values
	}
	return m
}

// probe has the log go on by a message that is nobody's, and gives its place. Unlike what is only asked, no
// server that believes to lead the stream can answer that.
func (e *Engine) probe(ctx context.Context) (uint64, error) {
	a, err := e.store(ctx, e.conn, e.note("probe", nil, nil))
	return a.Sequence, err
}

// ack is JetStream's answer to a message.
type ack struct {
	Stream    string    `json:"stream"`
	Sequence  uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// store has a message stored if there is room, and returns when it is.
func (e *Engine) store(ctx context.Context, conn *nats.Conn, m *nats.Msg) (ack, error) {
	size := m.Size()
	if err := e.guard.admit(size); err != nil {
		return ack{}, err
	}
	defer e.guard.leave(size)
	return e.send(ctx, conn, m)
}

// send has a message stored, and returns when it is.
func (e *Engine) send(ctx context.Context, conn *nats.Conn, m *nats.Msg) (ack, error) {
	reply, err := e.request(ctx, conn, m, e.patience())
	if err != nil {
		return ack{}, err
	}
	a, err := parseAck(reply.Data)
	switch {
	case err != nil:
		return ack{}, fmt.Errorf("JetStream's answer cannot be read: %w", err)
	case a.Error != nil:
		return ack{}, a.Error
	case a.Sequence == 0:
		return ack{}, errors.New("JetStream's answer has no sequence")
	}
	return a, nil
}

// patience is how long it may take to store a message.
func (e *Engine) patience() time.Duration {
	if *e.health.Load() != nil {
		return min(e.options.PublishWait, troubledPatience)
	}
	return e.options.PublishWait
}
