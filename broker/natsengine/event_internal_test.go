package natsengine

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"

	"fanfare/models"
)

// FuzzHeaders: whatever headers somebody else gives a message, it is a JSON object on one line, and from nobody.
func FuzzHeaders(f *testing.F) {
	for _, value := range []string{"", "true", "-1", "null", `true},"from":"ada","x":{"y":1`, "true%0A%0Adata: {}", `"x"`, "\xff", "%ff", " ü\u2028", "{}"} {
		f.Add("ce-x", value, "x", "text/plain", "1")
		f.Add("ce-time", value, "id,time", "", value)
		f.Add("tracestate", value, value, value, "{}")
	}
	c := codec{prefix: "fanfare.", maxData: 1 << 20, skew: time.Minute}
	f.Fuzz(func(t *testing.T, name, value, literals, contentType, payload string) {
		header := nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"},
			headerTraceParent: {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, headerFrom: {"ada"},
		}
		header[headerLiterals], header[headerContentType], header[name] = []string{literals}, []string{contentType}, []string{value}
		m, _ := c.decode(stored{subject: "fanfare.a", header: header, payload: []byte(payload), sequence: 1, time: time.Now()}, "e")
		if m == nil {
			return // it is too large
		}
		for _, frame := range []jsontext.Value{m.AppendFrame(nil), m.AppendCloudEvent(nil)} {
			if !frame.IsValid() || bytes.ContainsAny(frame, "\r\n") || m.From != "" {
				t.Errorf("%q", frame)
			}
		}
		if event := m.EventText(); event != nil {
			if again, _, err := models.ParseEventAttributes(event, m.Data); err != nil || !bytes.Equal(again, event) {
				t.Errorf("%s becomes %s, %v", event, again, err)
			}
		}
	})
}
