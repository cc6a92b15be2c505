package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/models"
)

const (
	// MaxBatch bounds the messages of one request.
	MaxBatch = 1000
	// MaxBatchSize bounds about their bytes: so much goes through most proxies, and over a slow line in time. One that
	// is larger goes alone.
	MaxBatchSize = 512 << 10
)

// Message is to be published.
type Message struct {
	Topic models.Topic
	// Data is JSON. Bytes are in its place what is no text.
	Data  jsontext.Value
	Bytes []byte
	// Key is the idempotency key. A message without one may be published twice.
	Key string
}

// NewMessage makes a message of a text that nobody has declared as anything, as a POST does; or, as text, of
// one that is never JSON. It keeps nothing of the text.
func NewMessage(topic models.Topic, key string, text []byte, asText bool) Message {
	m := Message{Topic: topic, Key: key}
	if len(text) == 0 {
		m.Data = models.TextData(nil)
		return m
	}
	text = bytes.Clone(text)
	data, encoding := models.ParseData(bytes.Clone(text))
	switch {
	case encoding != "":
		m.Bytes = text
	case asText:
		m.Data = models.TextData(text)
	default:
		m.Data = data
	}
	return m
}

// Size is about how much of a request it takes, in bytes.
func (m Message) Size() int { return len(m.Topic) + len(m.Data) + len(m.Bytes) + len(m.Key) + 64 }

// Publisher publishes, again where that may help. Only one Publish runs at a time.
type Publisher struct {
	Server *Server
	// Retry has a timeout that should be shorter than the server keeps keys: history.idempotency_window.
	Retry Retry
}

// Publish publishes messages in their order. done is told what became of each, in order: the receipt, or the
// refusal. After a refusal that all the others would have as well, or when the time is up, it returns that error,
// and nothing is known of the others.
func (p *Publisher) Publish(ctx context.Context, messages []Message, done func(receipt jsontext.Value, refused *Refusal) error) error {
	p.Retry.succeed()
	for len(messages) > 0 {
		results, err := p.send(ctx, messages[:together(messages)])
		for _, r := range results {
			if err := done(r.receipt, r.refusal); err != nil {
				return err
			}
			p.Retry.succeed()
		}
		messages = messages[len(results):]
		if err != nil {
			if err := p.Retry.wait(ctx, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// together is how many of the first messages go in one request.
func together(messages []Message) int {
	size := 0
	for i, m := range messages {
		size += m.Size()
		switch {
		case m.Bytes != nil: // which a batch cannot have
			return max(i, 1)
		case i == MaxBatch || size > MaxBatchSize:
			return max(i, 1)
		}
	}
	return len(messages)
}

// result is what became of a message: the one or the other.
type result struct {
	receipt jsontext.Value
	refusal *Refusal
}

// send sends one request, and gives what became of the first messages; the error is about the next.
func (p *Publisher) send(ctx context.Context, messages []Message) ([]result, error) {
	ctx, cancel := p.Server.Within(ctx, p.Retry.attempt())
	defer cancel()
	if len(messages) == 1 {
		return p.sendOne(ctx, messages[0])
	}
	return p.sendBatch(ctx, messages)
}

func (p *Publisher) sendOne(ctx context.Context, m Message) ([]result, error) {
	request := Request{
		Method: http.MethodPost, Path: []string{"topics", string(m.Topic), "publish"},
		Body: m.Data, ContentType: "application/json", Header: http.Header{},
	}
	if m.Bytes != nil {
		request.Body, request.ContentType = m.Bytes, "application/octet-stream"
	}
	if m.Key != "" {
		request.Header.Set("Idempotency-Key", m.Key)
	}
	var receipt jsontext.Value
	err := p.Server.Do(ctx, request, &receipt)
	if refusal, ok := errors.AsType[*Refusal](err); ok && isItsOwn(refusal) {
		return []result{{refusal: refusal}}, nil
	}
	if err != nil {
		return nil, err
	}
	return []result{{receipt: receipt}}, nil
}

// batchMessage is a message in the body of POST /publish.
type batchMessage struct {
	Topic models.Topic   `json:"topic"`
	Data  jsontext.Value `json:"data"`
	Key   string         `json:"key,omitzero"`
}

func (p *Publisher) sendBatch(ctx context.Context, messages []Message) ([]result, error) {
	batch := make([]batchMessage, 0, len(messages))
	for _, m := range messages {
		batch = append(batch, batchMessage{m.Topic, m.Data, m.Key})
	}
	body, err := json.Marshal(map[string]any{"messages": batch})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []jsontext.Value `json:"results"`
	}
	request := Request{Method: http.MethodPost, Path: []string{"publish"}, Body: body, ContentType: "application/json"}
	if err := p.Server.Do(ctx, request, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(messages) {
		return nil, fmt.Errorf("%s has answered %d of %d messages", p.Server.URL, len(answer.Results), len(messages))
	}
	results := make([]result, 0, len(messages))
	for _, text := range answer.Results {
		var problem models.Problem
		if err := json.Unmarshal(text, &problem); err != nil {
			return results, err
		}
		refusal := &Refusal{Status: problem.Status, Code: problem.Code, Detail: problem.Detail}
		switch {
		case problem.Code == "":
			results = append(results, result{receipt: text})
		case isItsOwn(refusal):
			results = append(results, result{refusal: refusal})
		default:
			return results, refusal
		}
	}
	return results, nil
}

// isItsOwn tells whether a refusal is about this message alone, and the next may be better.
func isItsOwn(r *Refusal) bool {
	switch r.Code {
	case models.CodeInvalidJSON, models.CodeInvalidRequest, models.CodePayloadTooLarge, models.CodeConflict:
		return true
	default:
		return false
	}
}
