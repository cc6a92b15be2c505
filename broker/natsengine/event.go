package natsengine

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"fanfare/models"
)

// The headers of a message's attributes: its Trace Context, and a CloudEvent as the NATS binding of CloudEvents 1.0
// has it in binary mode.
const (
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerContentType = "content-type"
	prefixEvent       = "ce-"
	// headerLiterals names the attributes of an event that are booleans or integers: in a header everything
	// is text.
	headerLiterals = "Fanfare-Literals"
)

// structured is how the content type of an event in structured mode begins.
const structured = "application/cloudevents+json"

// The attributes of an event that are known here.
const (
	eventVersion     = "specversion"
	eventContentType = "datacontenttype"
)

// addAttributes writes the attributes of a draft into headers.
func addAttributes(header nats.Header, a *models.Attributes) error {
	if a == nil {
		return nil
	}
	if a.TraceParent != "" {
		header[headerTraceParent] = []string{a.TraceParent}
	}
	if a.TraceState != "" {
		header[headerTraceState] = []string{a.TraceState}
	}
	if a.Event == nil {
		return nil
	}
	var event models.EventAttributes
	if err := json.Unmarshal(a.Event, &event); err != nil {
		return err
	}
	var literals []string
	for _, name := range slices.Sorted(maps.Keys(event)) {
		switch value := event[name]; {
		case name == eventContentType:
			header[headerContentType] = []string{event.Text(name)}
		case value[0] == '"':
			header[prefixEvent+name] = []string{escape(event.Text(name))}
		default:
			header[prefixEvent+name] = []string{string(value)}
			literals = append(literals, name)
		}
	}
	if literals != nil {
		header[headerLiterals] = []string{strings.Join(literals, ",")}
	}
	return nil
}

// escape percent-encodes what must not stand in a header (CloudEvents, HTTP binding, section 3.1.3.2).
func escape(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&0xF]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// carries tells whether a header is one of those of attributes. Others may write them in upper case.
func carries(name string) bool {
	return len(name) > len(prefixEvent) && strings.EqualFold(name[:len(prefixEvent)], prefixEvent) ||
		strings.EqualFold(name, headerTraceParent) || strings.EqualFold(name, headerTraceState) ||
		strings.EqualFold(name, headerContentType) || name == headerLiterals
}

// carried gives the names of those headers in their order.
func carried(header nats.Header) (names []string) {
	for name := range header {
		if carries(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// attributes are what the headers of a message say of it.
type attributes struct {
	traceParent, traceState, contentType string
	// event is empty if the message is none in binary mode, or not a good one.
	event models.EventAttributes
}

// attributesOf reads the headers of a message.
func attributesOf(header nats.Header) (a attributes) {
	names := carried(header)
	if names == nil {
		return a
	}
	event := make(models.EventAttributes)
	for _, name := range names {
		value := header.Get(name)
		switch attribute := strings.ToLower(name); attribute {
		case headerTraceParent:
			a.traceParent = value
		case headerTraceState:
			a.traceState = value
		case headerContentType:
			a.contentType = value
			event.Set(eventContentType, value)
		default:
			if attribute, isEvent := strings.CutPrefix(attribute, prefixEvent); isEvent {
				event.Set(attribute, models.UnescapeHeader(value))
			}
		}
	}
	for _, name := range strings.Split(header.Get(headerLiterals), ",") {
		if text := event.Text(name); text != "" {
			event[name] = []byte(text)
		}
	}
	if event[eventVersion] != nil {
		a.event = event
	}
	return a
}
