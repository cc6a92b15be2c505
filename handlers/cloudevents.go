package handlers

import (
	"bytes"
	"mime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// The media types of CloudEvents in the JSON format: of one, and of many.
const (
	mimeCloudEvent  = "application/cloudevents+json"
	mimeCloudEvents = "application/cloudevents-batch+json"
)

// eventHeader is how the headers begin that have the attributes of an event in binary mode.
const eventHeader = "ce-"

// eventMode is how a request has an event (CloudEvents, HTTP binding, section 3).
type eventMode int

const (
	eventNone eventMode = iota
	eventBinary
	eventStructured
	eventBatched
)

// eventModeOf tells how a publish has an event, if it has one. CodeUnsupportedEncoding.
func eventModeOf(c *fiber.Ctx) (eventMode, error) {
	const family = "application/cloudevents"
	if declared := c.Get(fiber.HeaderContentType); len(declared) >= len(family) && strings.EqualFold(declared[:len(family)], family) {
		switch media, _, _ := mime.ParseMediaType(declared); media {
		case mimeCloudEvent:
			return eventStructured, nil
		case mimeCloudEvents:
			return eventBatched, nil
		default:
			return eventNone, models.Errorf(models.CodeUnsupportedEncoding, "CloudEvents must come as %s, %s or in binary mode", mimeCloudEvent, mimeCloudEvents)
		}
	}
	// Who has forgotten the version is told, and does not lose the other attributes.
	if c.Get("ce-specversion") != "" || c.Get("ce-type") != "" {
		return eventBinary, nil
	}
	return eventNone, nil
}

// parseBinaryEvent reads an event whose attributes are in headers.
func parseBinaryEvent(c *fiber.Ctx, body []byte) (event, data jsontext.Value, encoding string, err error) {
	attributes := make(models.EventAttributes)
	for name, value := range c.Request().Header.All() {
		if len(name) < len(eventHeader) || !bytes.EqualFold(name[:len(eventHeader)], []byte(eventHeader)) {
			continue
		}
		attribute := strings.ToLower(string(name[len(eventHeader):]))
		if attribute == "datacontenttype" || attributes[attribute] != nil {
			return nil, nil, "", models.Errorf(models.CodeInvalidRequest, "each attribute of an event has one header, and datacontenttype is Content-Type")
		}
		attributes.Set(attribute, models.UnescapeHeader(string(value)))
	}
	contentType := utils.CopyString(c.Get(fiber.HeaderContentType))
	if contentType != "" {
		attributes.Set("datacontenttype", contentType)
	}
	if event, err = attributes.Event(); err != nil {
		return nil, nil, "", err
	}
	data, encoding, err = models.ParseEventBody(contentType, body)
	return event, data, encoding, err
}

// requestAttributes gives the attributes of a message that comes with the request. A Trace Context can have more than one
// header of tracestate (W3C Trace Context, section 3.3.1).
func requestAttributes(c *fiber.Ctx, event jsontext.Value) *models.Attributes {
	parent := c.Get("traceparent")
	if parent == "" && event == nil {
		return nil
	}
	var states []string
	for _, state := range c.Request().Header.PeekAll("tracestate") {
		states = append(states, string(state))
	}
	return models.NewAttributes(utils.CopyString(parent), strings.Join(states, ","), event)
}

// publishEvents answers POST /topics/{name}/publish with many events: as POST /publish does.
func (a *api) publishEvents(c *fiber.Ctx) error {
	topic, err := topicParam(c)
	if err != nil {
		return err
	}
	if err := caller(c).MayPublish(topic); err != nil {
		return err
	}
	if c.Get("Idempotency-Key") != "" {
		return models.Errorf(models.CodeInvalidRequest, "an Idempotency-Key is for one message")
	}
	body, err := a.bodies.read(c, maxBatchSize)
	if err != nil {
		return err
	}
	defer body.release()
	if !jsontext.Value(body.bytes).IsValid() {
		return notJSON("a batch of events")
	}
	events, err := splitList(body.bytes)
	if err != nil {
		return err
	}
	return a.publishAll(c, events, func(text jsontext.Value) (models.Draft, error) {
		draft := models.Draft{Topic: topic}
		var event jsontext.Value
		var err error
		event, draft.Data, draft.Encoding, err = models.ParseEvent(text)
		draft.Attributes = requestAttributes(c, event)
		return draft, err
	})
}

// cloudEventPage is a models.HistoryPage whose messages are CloudEvents.
type cloudEventPage struct {
	Messages  []jsontext.Value `json:"messages"`
	Recovered *bool            `json:"recovered,omitzero"`
	Next      models.ID        `json:"next"`
}

func newCloudEventPage(page models.HistoryPage) cloudEventPage {
	events := make([]jsontext.Value, 0, len(page.Messages))
	for _, m := range page.Messages {
		events = append(events, m.AppendCloudEvent(make([]byte, 0, m.Size())))
	}
	return cloudEventPage{Messages: events, Recovered: page.Recovered, Next: page.Next}
}

// formatParam tells whether messages are to come as CloudEvents.
func formatParam(c *fiber.Ctx) (cloudEvents bool, err error) {
	switch c.Query("format") {
	case "":
		return false, nil
	case "cloudevents":
		return true, nil
	default:
		return false, models.Errorf(models.CodeInvalidRequest, "format is cloudevents, or absent")
	}
}
