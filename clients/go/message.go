package fanfare

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Message is a message of the log.
type Message struct {
	// ID is its place in the log, and the cursor to go on behind it. It is opaque.
	ID    string
	Topic string
	// Data is JSON as the server sent it. Decode and Bytes read it.
	Data json.RawMessage
	// Time is when it was published.
	Time time.Time
	// From is the authenticated publisher, if there was one.
	From string
	// Encoding is "base64" where Data is a text that stands for bytes, and else empty.
	Encoding string
	// TraceParent and TraceState are the Trace Context (W3C) of who published it, or empty.
	TraceParent, TraceState string
	// Event has the attributes of a CloudEvent as a JSON object, if it was published as one, and else nothing.
	Event json.RawMessage
}

// Decode reads the data as encoding/json does.
func (m Message) Decode(into any) error {
	return json.Unmarshal(m.Data, into)
}

// Bytes gives the bytes that were published: those that Data stands for, or Data itself.
func (m Message) Bytes() ([]byte, error) {
	switch m.Encoding {
	case "":
		return m.Data, nil
	case "base64":
		var text string
		if err := json.Unmarshal(m.Data, &text); err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(text)
	default:
		return nil, fmt.Errorf("fanfare: the encoding %q is not known", m.Encoding)
	}
}
