package models

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Attributes are what a message may carry beside its data. Most messages have none, and are none the
// larger for it. They are shared and never changed.
type Attributes struct {
	// TraceParent and TraceState are the Trace Context (W3C) of whoever published the message, so that a
	// subscriber can go on with the trace.
	TraceParent string `json:"traceparent,omitzero" example:"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`
	TraceState  string `json:"tracestate,omitzero" example:"vendor=1"`
	// Event has the attributes of a CloudEvent, if the message was published as one.
	Event jsontext.Value `json:"event,omitzero" swaggertype:"object"`
}

// NewAttributes gives the attributes of a message that was published with those two headers of a Trace Context and
// an event that EventAttributes.Event has made, or none; nil if it has nothing of the sort. A Trace Context that is not
// valid counts as absent (W3C Trace Context, section 3.2.2.3). Without one it is that of the event, if it has one (CloudEvents,
// distributed tracing extension). White space around a header is none of it, and NATS would take it away.
func NewAttributes(traceParent, traceState string, event jsontext.Value) *Attributes {
	if !isTraceParent(traceParent) {
		if traceParent, traceState = "", ""; hasTrace(event) {
			traceParent, traceState = eventTrace(event)
		}
	}
	if traceParent == "" && event == nil {
		return nil
	}
	if traceState = strings.Trim(traceState, " \t"); !isTraceState(traceState) {
		traceState = ""
	}
	return &Attributes{TraceParent: traceParent, TraceState: traceState, Event: event}
}

// eventTrace gives the Trace Context that an event has of its own, or nothing.
func eventTrace(event jsontext.Value) (traceParent, traceState string) {
	var own struct {
		TraceParent jsontext.Value `json:"traceparent"`
		TraceState  jsontext.Value `json:"tracestate"`
	}
	if json.Unmarshal(event, &own) != nil || !isTraceParent(stringOf(own.TraceParent)) {
		return "", ""
	}
	return stringOf(own.TraceParent), stringOf(own.TraceState)
}

// hasTrace tells whether an event has a Trace Context of its own. A name stands behind a comma, and inside of
// a string there is no quote without a backslash.
func hasTrace(event jsontext.Value) bool {
	return bytes.Contains(event, []byte(`,"traceparent":`)) || bytes.Contains(event, []byte(`,"tracestate":`))
}

// EventText is the event, or nothing.
func (a *Attributes) EventText() jsontext.Value {
	if a == nil {
		return nil
	}
	return a.Event
}

// size is what the attributes take, in bytes, roughly.
func (a *Attributes) size() int {
	if a == nil {
		return 0
	}
	return len(a.TraceParent) + len(a.TraceState) + len(a.Event)
}

// appendAttributes appends the attributes as fields of an object that has some already.
func (a *Attributes) appendAttributes(dst []byte) []byte {
	if a == nil {
		return dst
	}
	dst = a.appendTrace(dst)
	if a.Event != nil {
		dst = append(dst, `,"event":`...)
		dst = append(dst, a.Event...)
	}
	return dst
}

// appendTrace appends the Trace Context as fields of an object that has some already.
func (a *Attributes) appendTrace(dst []byte) []byte {
	if a.TraceParent != "" {
		dst = append(dst, `,"traceparent":`...)
		dst = appendString(dst, a.TraceParent)
	}
	if a.TraceState != "" {
		dst = append(dst, `,"tracestate":`...)
		dst = appendString(dst, a.TraceState)
	}
	return dst
}
