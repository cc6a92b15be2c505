package natsengine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// busyPause is how long a publish waits that comes while another with its key is under way.
const busyPause = 5 * time.Millisecond

// Publish implements broker.Engine. A message that is too large for the servers is CodePayloadTooLarge.
//
// Of a key whose message was removed in the meantime nobody knows what it was: a publish with it is answered
// as the same, with the present time.
func (e *Engine) Publish(ctx context.Context, draft models.Draft) (models.Receipt, error) {
	if len(draft.Data) > e.codec.maxData {
		return models.Receipt{}, models.Errorf(models.CodePayloadTooLarge, "a message's data has at most %d bytes as JSON text", e.codec.maxData)
	}
	if e.unverified.Load() {
		return models.Receipt{}, errAway()
	}
	// It takes room as if it were delivered from here, so that who publishes faster than this node
	// delivers is told.
	batch := broker.Batch{Messages: []*models.Message{{Data: draft.Data}}}
	if err := e.sink.Admit(ctx, batch); err != nil {
		return models.Receipt{}, err
	}
	defer e.sink.Dismiss(batch)
	now := time.UnixMilli(time.Now().UnixMilli()).UTC()
	m, err := e.codec.encode(draft, now)
	if err != nil {
		return models.Receipt{}, err
	}
	a, err := e.store(ctx, e.voice, m)
	for end := now.Add(e.options.PublishWait); isCode(err, errCodeDuplicateBusy) && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(busyPause)
		a, err = e.store(ctx, e.voice, m)
	}
	if isCode(err, errCodeTooLarge) {
		return models.Receipt{}, models.Errorf(models.CodePayloadTooLarge, "the message is larger than the log takes")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.trouble.note("publishing", err)
		return models.Receipt{}, errUncertain()
	}
	if err != nil {
		return models.Receipt{}, e.unavailable("publishing", err)
	}
	receipt := models.Receipt{
		ID:    models.ID{Epoch: e.epoch(), Sequence: a.Sequence},
		Topic: draft.Topic,
		Time:  models.Timestamp{Time: now},
	}
	if a.Duplicate {
		if err := e.repeat(ctx, draft, &receipt); err != nil {
			return models.Receipt{}, err
		}
	}
	e.known.raise(receipt.ID)
	if !a.Duplicate {
		e.answered.saw(receipt.ID, time.Time{}, m.Header.Get(headerStamp))
	}
	if e.server != nil {
		n := e.sink.Subscriptions(draft.Topic)
		receipt.Subscribers = &n
	}
	return receipt, nil
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
	m := e.codec.decode(s, receipt.ID.Epoch)
	// Others see the hash of a key once it was used, and can publish with it.
	_, ours := e.codec.check(usageMessage, s.header.Get(headerStamp), fieldsOf(s.subject, s.header, s.payload)...)
	if m == nil || !ours || !bytes.Equal(m.Data, draft.Data) || m.Encoding != draft.Encoding {
		return models.Errorf(models.CodeConflict, "this idempotency key was used for another message to this topic")
	}
	receipt.Time = m.Time
	return nil
}

// epoch is that of the log, as far as is known.
func (e *Engine) epoch() string { return e.known.get().Epoch }

func parseAck(text []byte) (a ack, err error) {
	err = json.Unmarshal(text, &a)
	return a, err
}
