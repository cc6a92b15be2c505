package handlers

import (
	"mime"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// publish answers POST /topics/{name}/publish.
//
//	@Summary		Publish a message
//	@ID			publish
//	@Description	The body is the message. It is taken as JSON if it is valid JSON and its content type is JSON, curl's default or unset; other text becomes a JSON string; what is not text, or is declared as application/octet-stream, an image, audio or video, becomes base64 with "encoding":"base64". The message is in the log when this is answered, and has reached the queues of its subscribers. Who does not know whether a publish has arrived repeats it with the same Idempotency-Key. A CloudEvent is published in structured mode (application/cloudevents+json), in binary mode (headers ce-specversion, ce-id, ce-source, ce-type and others), or with others (application/cloudevents-batch+json), which is answered as POST /publish is.
//	@Tags			topics
//	@Accept			json,plain,octet-stream,application/cloudevents+json,application/cloudevents-batch+json
//	@Produce		json
//	@Param			name			path		string			true	"the topic; as part of a URL it is percent-encoded"	example(news.eu)
//	@Param			message			body		object			true	"any JSON, or text, or bytes"
//	@Param			Idempotency-Key	header		string			false	"for a while, a publish of yours to this topic with this key is done once; at most 255 bytes"
//	@Param			traceparent		header		string			false	"a Trace Context (W3C), which goes along with the message; one that is not valid is ignored"	example(00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01)
//	@Param			tracestate		header		string			false	"what belongs to it"
//	@Success		200				{object}	models.Receipt	"the receipt, or with application/cloudevents-batch+json what became of each event"
//	@Failure		400				{object}	models.Problem	"invalid_topic, invalid_json (declared as JSON, but is not), invalid_request (empty body, Idempotency-Key, a CloudEvent that is not valid)"
//	@Failure		401				{object}	models.Problem	"unauthorized"
//	@Failure		403				{object}	models.Problem	"forbidden"
//	@Failure		409				{object}	models.Problem	"conflict: the key was used for another message"
//	@Failure		413				{object}	models.Problem	"payload_too_large"
//	@Failure		415				{object}	models.Problem	"unsupported_encoding: a body with Content-Encoding, or CloudEvents that are not in the JSON format"
//	@Failure		429				{object}	models.Problem	"rate_limited"
//	@Failure		503				{object}	models.Problem	"overloaded, shutting_down, engine_unavailable; Retry-After says when to try again"
//	@Security		Bearer
//	@x-requestBody	{"content":{"application/json":{"schema":{"$ref":null,"type":null},"examples":{"object":{"value":{"text":"hello"}},"number":{"value":42}}},"text/plain":{"example":"hello"},"application/octet-stream":{"example":"any bytes"},"application/cloudevents+json":{"schema":{"$ref":"#/components/schemas/CloudEvent","type":null}},"application/cloudevents-batch+json":{"schema":{"type":"array","maxItems":1000,"items":{"$ref":"#/components/schemas/CloudEvent"}}}}}
//	@x-responses	{"200":{"content":{"application/json":{"schema":{"$ref":null,"anyOf":[{"$ref":"#/components/schemas/models.Receipt"},{"$ref":"#/components/schemas/BatchResults"}]}}}}}
//	@Router			/topics/{name}/publish [post]
func (a *api) publish(c *fiber.Ctx) error {
	mode, err := eventModeOf(c)
	if err != nil {
		return err
	}
	if mode == eventBatched {
		return a.publishEvents(c)
	}
	if err := a.current.Load().publishes.take(caller(c)); err != nil {
		return err
	}
	topic, err := topicParam(c)
	if err != nil {
		return err
	}
	if err := caller(c).MayPublish(topic); err != nil {
		return err
	}
	limit := a.MessageSize
	if mode == eventStructured {
		limit += models.MaxEventSize
	}
	body, err := a.bodies.read(c, limit)
	if err != nil {
		return err
	}
	draft := models.Draft{Topic: topic}
	draft.Key, err = models.ParseKey(utils.CopyString(c.Get("Idempotency-Key")))
	if err != nil {
		return err
	}
	defer body.release()
	var event jsontext.Value
	switch mode {
	case eventStructured:
		event, draft.Data, draft.Encoding, err = models.ParseEvent(body.bytes)
	case eventBinary:
		event, draft.Data, draft.Encoding, err = parseBinaryEvent(c, body.bytes)
	default:
		draft.Data, draft.Encoding, err = parseBody(c.Get(fiber.HeaderContentType), body.bytes)
	}
	if err != nil {
		return err
	}
	draft.Attributes = requestAttributes(c, event)
	receipt, err := a.offer(c.UserContext(), caller(c), draft)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	c.Response().SetBodyRaw(append(receipt.AppendJSON(nil), '\n'))
	return nil
}

// parseBody makes data of a request's body, which it may keep.
func parseBody(contentType string, body []byte) (data jsontext.Value, encoding string, err error) {
	if len(body) == 0 {
		return nil, "", models.Errorf(models.CodeInvalidRequest, "the body is the message and must not be empty")
	}
	switch kind := kindOf(contentType); {
	case kind == kindUndeclared:
		data, encoding = models.ParseData(body)
	case kind == kindJSON:
		data, err = compactJSON(body, "a body that is declared as JSON")
	case kind == kindText && utf8.Valid(body):
		data = models.TextData(body)
	default:
		data, encoding = models.BinaryData(body), models.EncodingBase64
	}
	return data, encoding, err
}

// bodyKind is what a content type says of a body.
type bodyKind int

const (
	// kindUndeclared: JSON if it is valid JSON, else text or binary as it looks.
	kindUndeclared bodyKind = iota
	kindJSON
	kindText
	kindBinary
)

func kindOf(contentType string) bodyKind {
	media, _, _ := mime.ParseMediaType(contentType)
	switch {
	case contentType == "", media == fiber.MIMEApplicationForm:
		// curl -d declares a form, whatever the data are.
		return kindUndeclared
	case models.IsJSONType(media):
		return kindJSON
	case models.IsBinaryType(media):
		return kindBinary
	default:
		return kindText
	}
}
