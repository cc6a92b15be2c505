package fanfare

import (
	"bytes"
	"encoding/json"
	"time"
)

// request is a frame to the server. Zero fields are left out.
type request struct {
	Action   string          `json:"action"`
	Topic    string          `json:"topic,omitzero"`
	Topics   []string        `json:"topics,omitzero"`
	Since    string          `json:"since,omitzero"`
	Last     int             `json:"last,omitzero"`
	Overflow Overflow        `json:"overflow,omitzero"`
	Presence bool            `json:"presence,omitzero"`
	Data     json.RawMessage `json:"data,omitzero"`
	Key      string          `json:"key,omitzero"`
	Token    string          `json:"token,omitzero"`
	Ref      uint64          `json:"ref,omitzero"`
}

// frame is a frame of the server, of whatever type.
type frame struct {
	Type   string      `json:"type"`
	Action string      `json:"action"`
	Ref    json.Number `json:"ref"`

	// Of several types.
	ID     string   `json:"id"`
	Topic  string   `json:"topic"`
	Topics []string `json:"topics"`

	// Of a welcome.
	ClientID     string  `json:"client_id"`
	PingInterval float64 `json:"ping_interval"`
	Limits       limits  `json:"limits"`

	// Of an ack.
	Recovered *bool `json:"recovered"`
	Duplicate bool  `json:"duplicate"`

	// Of a message.
	Data     json.RawMessage `json:"data"`
	Time     time.Time       `json:"time"`
	From     string          `json:"from"`
	Encoding string          `json:"encoding"`

	// Of a message, too: its attributes.
	TraceParent string          `json:"traceparent"`
	TraceState  string          `json:"tracestate"`
	Event       json.RawMessage `json:"event"`

	// Of an error, and of a notice.
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Count   uint64 `json:"count"`

	// Of presence, join and leave, with client_id.
	User        string   `json:"user"`
	Clients     []Member `json:"clients"`
	Next        string   `json:"next"`
	Unreachable []string `json:"unreachable"`
}

// limits is what the server says that it takes, in bytes; 0 where it does not say.
type limits struct {
	MessageSize int `json:"message_size"`
	FrameSize   int `json:"frame_size"`
	OutboxSize  int `json:"outbox_size"`
}

// err gives an error frame as an error.
func (f *frame) err() *Error {
	return &Error{Code: f.Code, Message: f.Message}
}

// encode gives JSON as it goes over the wire: compact, and without the escapes that are for HTML.
func encode(value any) (json.RawMessage, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// encodeRequest writes a request, whose data is known to be JSON.
func encodeRequest(r request) []byte {
	text, err := encode(r)
	if err != nil {
		panic("fanfare: a request that is no JSON: " + err.Error())
	}
	return text
}
