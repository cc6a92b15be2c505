package natsengine

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// anchorShare is how many anchors there are in the time that messages are kept.
	anchorShare = 64
	// minAnchorInterval is the shortest time between two.
	minAnchorInterval = time.Second
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
	maps.Copy(m.Header, header)
	return m
}

// probe has the log go on by a message that is nobody's, and gives its place. Unlike what is only asked, no
// server that believes to lead the stream can answer that.
func (e *Engine) probe(ctx context.Context) (uint64, error) {
	a, err := e.store(ctx, e.conn, e.note("probe", nil, nil))
	return a.Sequence, err
}
