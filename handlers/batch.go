package handlers

import (
	"bytes"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// maxBatch bounds the messages of a batch, maxBatchSize its body in bytes.
const (
	maxBatch     = 1000
	maxBatchSize = 8 << 20
)

// batch is the body of POST /publish, for Swagger UI.
type batch struct { //nolint:unused // by the comment of publishBatch
	Messages []batchMessage `json:"messages"`
}

// batchMessage is one message of a batch.
type batchMessage struct {
	Topic string `json:"topic" example:"news.eu"`
	// Data is any JSON value.
	Data jsontext.Value `json:"data" swaggertype:"object"`
	// Key is an idempotency key, as the header Idempotency-Key of a single publish.
	Key string `json:"key,omitzero" example:"order-1042"`
	models.Attributes
}

// batchResults is the answer to a batch.
type batchResults struct {
	Results []batchResult `json:"results"`
}

// batchResult is what became of one message: the one or the other.
type batchResult struct {
	*models.Receipt
	*models.Problem
}

// publishBatch answers POST /publish.
//
//	@Summary		Publish many messages
//	@ID			publishBatch
//	@Description	Publishes up to 1,000 messages in their order, and answers with a receipt or a problem for each, in the same order. What is wrong with one message does not keep the others from being published. When the server can take no more, all that are left have the same problem, and none of them was published.
//	@Tags			topics
//	@Accept			json
//	@Produce		json
//	@Param			batch		body		batch	true	"the messages, at most 8 MiB"
//	@Param			traceparent	header		string	false	"a Trace Context (W3C), for the messages that have none of their own"	example(00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01)
//	@Param			tracestate	header		string	false	"what belongs to it"
//	@Success		200		{object}	object			"a receipt or a problem for each message"
//	@Failure		400		{object}	models.Problem	"invalid_json, invalid_request: of the batch itself"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		413		{object}	models.Problem	"payload_too_large: the batch itself"
//	@Failure		415		{object}	models.Problem	"unsupported_encoding: a body with Content-Encoding"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Failure		503		{object}	models.Problem	"overloaded: too many large bodies are on their way"
//	@Security		Bearer
//	@x-responses	{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/BatchResults","type":null}}}}}
//	@Router			/publish [post]
func (a *api) publishBatch(c *fiber.Ctx) error {
	if err := caller(c).MayPublishSome(); err != nil {
		return err
	}
	body, err := a.bodies.read(c, maxBatchSize)
	if err != nil {
		return err
	}
	defer body.release()
	messages, err := splitBatch(body.bytes)
	if err != nil {
		return err
	}
	return a.publishAll(c, messages, func(text jsontext.Value) (models.Draft, error) { return batchDraft(c, text) })
}

// publishAll publishes what parse makes of each of the messages, in their order, and answers with what became of them.
func (a *api) publishAll(c *fiber.Ctx, messages []jsontext.Value, parse func(jsontext.Value) (models.Draft, error)) error {
	results := make([]batchResult, 0, len(messages))
	var err error
	for _, message := range messages {
		var receipt models.Receipt
		if !endsBatch(err) {
			receipt, err = a.publishOneOf(c, message, parse)
		}
		if err != nil {
			a.counters.countRefusal(models.AsError(err).Code)
		}
		results = append(results, newBatchResult(receipt, err))
	}
	return c.JSON(batchResults{Results: results})
}

// splitBatch gives the messages of a batch as they stand there.
func splitBatch(body []byte) ([]jsontext.Value, error) {
	var document struct {
		Messages jsontext.Value `json:"messages"`
	}
	if err := json.Unmarshal(body, &document, json.RejectUnknownMembers(true)); err != nil {
		return nil, describeMismatch("a batch", err)
	}
	return splitList(document.Messages)
}

// splitList gives the elements of a list, which is valid JSON or nil.
func splitList(list jsontext.Value) (messages []jsontext.Value, err error) {
	if list.Kind() != jsontext.KindBeginArray {
		return nil, models.Errorf(models.CodeInvalidRequest, "a batch has a list of messages")
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(list))
	_, err = decoder.ReadToken()
	for err == nil && decoder.PeekKind() != jsontext.KindEndArray {
		if len(messages) == maxBatch {
			return nil, models.Errorf(models.CodeInvalidRequest, "a batch has at most %d messages", maxBatch)
		}
		var message jsontext.Value
		message, err = decoder.ReadValue()
		messages = append(messages, message.Clone())
	}
	return messages, err
}

// publishOneOf publishes one message of a batch.
func (a *api) publishOneOf(
	c *fiber.Ctx, text jsontext.Value, parse func(jsontext.Value) (models.Draft, error),
) (models.Receipt, error) {
	by := caller(c)
	if err := a.current.Load().publishes.take(by); err != nil {
		a.auditRefusal(c, models.AsError(err))
		return models.Receipt{}, err
	}
	draft, err := parse(text)
	if err != nil {
		return models.Receipt{}, err
	}
	if err := by.MayPublish(draft.Topic); err != nil {
		return models.Receipt{}, err
	}
	receipt, err := a.offer(c.UserContext(), by, draft)
	if err != nil && models.AsError(err).Code == models.CodeInternal {
		a.Logger.Error("request_failed", "error", err, "request_id", requestID(c))
	}
	return receipt, err
}

// batchDraft reads one message of a batch. One without a Trace Context has that of the request.
func batchDraft(c *fiber.Ctx, text jsontext.Value) (models.Draft, error) {
	var message batchMessage
	if err := json.Unmarshal(text, &message, json.RejectUnknownMembers(true)); err != nil {
		return models.Draft{}, describeMismatch("a message", err)
	}
	topic, err := models.ParseTopic(message.Topic)
	if err != nil {
		return models.Draft{}, err
	}
	if message.Data == nil {
		return models.Draft{}, models.Errorf(models.CodeInvalidRequest, "data is missing")
	}
	draft, err := newDraft(topic, message.Data, message.Key, message.Attributes)
	if err == nil && (draft.Attributes == nil || draft.Attributes.TraceParent == "") {
		draft.Attributes = requestAttributes(c, draft.Attributes.EventText())
	}
	return draft, err
}

// endsBatch tells whether an error is no fault of the message: the next would have it, too. Or,
// of a rate, should have it: whoever sends the rest again wants it in order.
func endsBatch(err error) bool {
	if err == nil {
		return false
	}
	code := models.AsError(err).Code
	return code == models.CodeRateLimited || statusOf(code) >= http.StatusInternalServerError
}

func newBatchResult(receipt models.Receipt, err error) batchResult {
	if err != nil {
		problem := newProblem(models.AsError(err))
		return batchResult{Problem: &problem}
	}
	return batchResult{Receipt: &receipt}
}
