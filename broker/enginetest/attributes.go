package enginetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

const (
	traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	otherParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// drafts are messages with attributes of every kind.
func drafts(t *testing.T) []models.Draft {
	t.Helper()
	event := func(text string) models.Draft {
		event, data, encoding, err := models.ParseEvent([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return models.Draft{Topic: "a", Data: data, Encoding: encoding, From: "ada", Attributes: models.NewAttributes("", "", event)}
	}
	const required = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	traced := event(required + `,"data":1}`)
	traced.Attributes = models.NewAttributes(traceParent, "a=1,b=x y", traced.Attributes.Event)
	spaced := event(required + `,"data":1}`)
	spaced.Attributes = models.NewAttributes("01"+traceParent[2:]+"-x y", " \ta=1 ,\tb=2 ", spaced.Attributes.Event)
	return []models.Draft{
		{Topic: "a", Data: []byte("1"), Attributes: models.NewAttributes(traceParent, "", nil)},
		{Topic: "a", Data: models.BinaryData([]byte{0xff}), Encoding: models.EncodingBase64, Attributes: models.NewAttributes(traceParent, "a=1", nil)},
		traced,
		spaced,
		event(required + `}`),
		event(required + `,"data":""}`),
		event(required + `,"data":"text"}`),
		event(required + `,"datacontenttype":"text/plain","data":"text \" ü \u0000"}`),
		event(required + `,"datacontenttype":"text/plain","data":"1"}`),
		event(required + `,"datacontenttype":"text/plain","data":""}`),
		event(required + `,"datacontenttype":"text/xml; charset=\"utf-8\"","data":{"not":"text"}}`),
		event(required + `,"datacontenttype":"text/plain; charset=\"ü\u00a0\u2028\"","data":"x"}`),
		event(required + `,"datacontenttype":"application/cloudevents+json","data":` + required + `}}`),
		event(required + `,"data_base64":""}`),
		event(required + `,"datacontenttype":"application/json","data_base64":"MQ=="}`),
		event(required + `,"b":true,"c":false,"d":-2147483648,"e":"true","f":"1","g":"","data":[1.0,1e400]}`),
		event(`{"specversion":"1.0","id":" \" %41 ü😀 ","source":"urn:x?a=b#c","type":"日本 ","subject":"a,b;c","time":"2026-11-23T17:45:01.123456789+01:00","dataschema":"https://example.com/s"}`),
		event(required + `,"long":"` + strings.Repeat("x", 8000) + `"}`),
		event(required + `,"traceparent":"` + otherParent + `","tracestate":"x=1"}`),
		event(required + `,"traceparent":"none"}`),
	}
}

// testAttributes: what a message carries beside its data comes as it was, live and from the log.
func testAttributes(t *testing.T, engine broker.Engine, sink *Sink) {
	begin, err := engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []*models.Message
	for _, d := range drafts(t) {
		r, err := engine.Publish(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, &models.Message{
			ID: r.ID, Topic: d.Topic, Data: d.Data, Time: r.Time, From: d.From, Encoding: d.Encoding, Attributes: d.Attributes,
		})
	}
	if diff := cmp.Diff(want, sink.Await(len(want))); diff != "" {
		t.Errorf("delivered (-want +got):\n%.2000s", diff)
	}
	last := want[len(want)-1].ID
	var got []*models.Message
	for at := begin; at != last; {
		stretch, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, After: at, UpTo: last, Limit: len(want)})
		if err != nil {
			t.Fatal(err)
		}
		got, at = append(got, stretch.Messages...), stretch.Reached
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%.2000s", diff)
	}
}

// testKeysOfEvents: a key stands for an event, and whatever trace its publish is part of.
func testKeysOfEvents(t *testing.T, engine broker.Engine, _ *Sink) {
	for i, draft := range drafts(t) {
		draft.Key = fmt.Sprint("k", i)
		first, err := engine.Publish(t.Context(), draft)
		if err != nil {
			t.Fatal(err)
		}
		draft.Attributes = models.NewAttributes(otherParent, "", draft.Attributes.Event)
		if again, err := engine.Publish(t.Context(), draft); err != nil || !again.Duplicate || again.ID != first.ID {
			t.Errorf("%s %s: %+v, %v; want a duplicate of %v", draft.Data, draft.Attributes.Event, again, err, first.ID)
		}
		other, _, _, err := models.ParseEvent([]byte(`{"specversion":"1.0","id":"2","source":"/s","type":"t"}`))
		if err != nil {
			t.Fatal(err)
		}
		draft.Attributes = models.NewAttributes("", "", other)
		if again, err := engine.Publish(t.Context(), draft); models.AsError(err).Code != models.CodeConflict {
			t.Errorf("%s as another event: %+v, %v", draft.Data, again, err)
		}
	}
}
