package natsengine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"fanfare/broker"
	"fanfare/models"
)

const (
	// busyPause is how long a publish waits that comes while another with its key is under way.
	busyPause = 5 * time.Millisecond
	// troubledPatience is how long an answer is waited for while the log seems to be away: what a leader was
	// sent that is gone is never answered, and its successor is asked the sooner.
	troubledPatience = time.Second
)

// Publish implements broker.Engine. A message that is too large for the servers is CodePayloadTooLarge.
//
// Of a key whose message was removed in the meantime nobody knows what it was: a publish with it is answered
// as the same, with the present time.
func (e *Engine) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	if len(draft.Data) > e.codec.maxData {
		return models.Receipt{}, models.Errorf(models.CodePayloadTooLarge, "a message's data has at most %d bytes as JSON text", e.codec.maxData)
	}
	link := e.link.Load()
	if !link.isGood() {
		return models.Receipt{}, errAway()
	}
	// It takes room as if it were delivered from here, so that who publishes faster than this node
	// delivers is told.
	batch := broker.Batch{Messages: []*models.Message{{Data: draft.Data, Attributes: draft.Attributes}}}
	if err := e.sink.Admit(ctx, batch); err != nil {
		return models.Receipt{}, err
	}
	defer e.sink.Dismiss(batch)
	now := time.UnixMilli(time.Now().UnixMilli()).UTC()
	m, err := e.codec.encode(draft, now)
	if err != nil {
		return models.Receipt{}, err
	}
	if m.Size() > int(e.conn.MaxPayload()) {
		return models.Receipt{}, errTooLarge()
	}
	end := time.Now().Add(e.patience())
	a, err := e.store(ctx, e.voice, m)
	// The other may stay under way for long: a leader that is alone keeps what it cannot store.
	for isCode(err, errCodeDuplicateBusy) && ctx.Err() == nil && time.Now().Before(end) {
		time.Sleep(busyPause)
		a, err = e.store(ctx, e.voice, m)
	}
	switch {
	case isCode(err, errCodeTooLarge):
		return models.Receipt{}, errTooLarge()
	case errors.Is(err, context.DeadlineExceeded):
		e.trouble.note("publishing", err)
		return models.Receipt{}, errUncertain()
	case err != nil:
		return models.Receipt{}, e.unavailable("publishing", err)
	case e.link.Load() != link:
		return models.Receipt{}, errUncertain() // it is in a log that is not known to be this one
	}
	receipt := models.Receipt{
		ID:    models.ID{Epoch: *e.epoch.Load(), Sequence: a.Sequence},
		Topic: draft.Topic,
		Time:  models.Timestamp{Time: now},
	}
	if a.Duplicate {
		if err := e.repeat(ctx, draft, &receipt); err != nil {
			return models.Receipt{}, err
		}
	} else {
		e.answered.saw(receipt.ID, time.Time{}, m.Header.Get(headerStamp))
	}
	if e.server != nil {
		n := e.sink.Subscriptions(draft.Topic)
		receipt.Subscribers = &n
	}
	return receipt, nil
}

func errTooLarge() error {
	return models.Errorf(models.CodePayloadTooLarge, "the message is larger than the log takes")
}

// errUncertain answers a publish that the log did not answer.
func errUncertain() error {
	return &models.Error{
		Code:       models.CodeEngineUnavailable,
		Message:    "the log has not answered in time; the message may be in it: to repeat it safely takes an idempotency key",
		RetryAfter: time.Second,
	}
}

// repeat makes a receipt that of the message which was published with the key before.
func (e *Engine) repeat(ctx context.Context, draft models.Draft, receipt *models.Receipt) error {
	receipt.Duplicate = true
	s, found, err := e.leaderMessage(ctx, map[string]any{"seq": receipt.ID.Sequence})
	if err != nil {
		return e.unavailable("publishing", err)
	}
	if !found {
		return nil
	}
	m, _ := e.codec.decode(s, receipt.ID.Epoch)
	// Others see the hash of a key once it was used, and can publish with it.
	_, ours := e.codec.check(usageMessage, s.header.Get(headerStamp), fieldsOf(s.subject, s.header, s.payload)...)
	if m == nil || !ours || !bytes.Equal(m.Data, draft.Data) || m.Encoding != draft.Encoding ||
		!bytes.Equal(m.EventText(), draft.Attributes.EventText()) {
		return models.Errorf(models.CodeConflict, "this idempotency key was used for another message to this topic")
	}
	receipt.Time = m.Time
	return nil
}

// ack is JetStream's answer to a message.
type ack struct {
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
	var a ack
	switch err := json.Unmarshal(reply.Data, &a); {
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
