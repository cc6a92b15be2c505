package models

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// EncodingBase64 marks data that is binary: a JSON string of base64 (RFC 4648, section 4).
const EncodingBase64 = "base64"

// Draft is a message that has no place in the log yet.
type Draft struct {
	Topic Topic
	// Data is compact, valid JSON that nobody changes any more.
	Data jsontext.Value
	// Encoding is EncodingBase64 for binary data, otherwise empty.
	Encoding string
	// From is the authenticated publisher's name. The broker stamps it.
	From string
	// Key is the idempotency key, or empty: for From and Topic it stands for this message
	// for a while. It has to come with the same data and the same event.
	Key string
	// Attributes are nil if there are none.
	Attributes *Attributes
}

// MaxKeyBytes is the longest idempotency key, in bytes of UTF-8.
const MaxKeyBytes = 255

// ParseKey checks an idempotency key; empty is none. Its error has CodeInvalidRequest.
func ParseKey(text string) (string, error) {
	if len(text) > MaxKeyBytes || !utf8.ValidString(text) {
		return "", Errorf(CodeInvalidRequest, "an idempotency key has at most %d bytes, of UTF-8", MaxKeyBytes)
	}
	return text, nil
}

// Message is a draft with its place in the log. It is shared and never changed.
type Message struct {
	ID       ID             `json:"id" swaggertype:"string" example:"4kq9zt2m-1042"`
	Topic    Topic          `json:"topic" swaggertype:"string" example:"news.eu"`
	Data     jsontext.Value `json:"data" swaggertype:"object"`
	Time     Timestamp      `json:"time" swaggertype:"string" format:"date-time" example:"2026-11-23T17:45:01.250Z"`
	From     string         `json:"from,omitzero" example:"ada"`
	Encoding string         `json:"encoding,omitzero" enums:"base64"`
	// Attributes are nil if there are none.
	*Attributes
}

// Size is what is large about a message, in bytes: its data and its attributes.
func (m *Message) Size() int { return len(m.Data) + m.size() }

// Receipt is the answer to a publish: where the message went.
type Receipt struct {
	ID    ID        `json:"id" swaggertype:"string" example:"4kq9zt2m-1042"`
	Topic Topic     `json:"topic" swaggertype:"string" example:"news.eu"`
	Time  Timestamp `json:"time" swaggertype:"string" format:"date-time" example:"2026-11-23T17:45:01.250Z"`
	// Duplicate tells that this publish repeated an earlier one, whose receipt it has.
	Duplicate bool `json:"duplicate" example:"false"`
	// Subscribers counts the matching subscriptions when the message took its place. It is absent
	// in a cluster, where no node knows.
	Subscribers *int `json:"subscribers,omitzero" example:"2"`
}

// AppendJSON appends the receipt as JSON to dst: what json.Marshal makes of it, which takes
// a good part of the time that a publish does.
func (r Receipt) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = r.ID.append(dst)
	dst = append(dst, `","topic":`...)
	dst = appendString(dst, string(r.Topic))
	dst = append(dst, `,"time":"`...)
	dst = r.Time.append(dst)
	dst = append(dst, `","duplicate":`...)
	dst = strconv.AppendBool(dst, r.Duplicate)
	if r.Subscribers != nil {
		dst = append(dst, `,"subscribers":`...)
		dst = strconv.AppendInt(dst, int64(*r.Subscribers), 10)
	}
	return append(dst, '}')
}

// AppendFrame appends the message's frame, one JSON object, to dst:
//
//	{"type":"message","id":"4kq9zt2m-1042","topic":"news.eu","data":"hello","time":"2026-11-23T17:45:01.250Z"}
func (m *Message) AppendFrame(dst []byte) []byte {
	dst = append(dst, `{"type":"message","id":"`...)
	dst = m.ID.append(dst)
	dst = append(dst, `","topic":`...)
	dst = appendString(dst, string(m.Topic))
	dst = append(dst, `,"data":`...)
	dst = append(dst, m.Data...)
	dst = append(dst, `,"time":"`...)
	dst = m.Time.append(dst)
	dst = append(dst, '"')
	if m.From != "" {
		dst = append(dst, `,"from":`...)
		dst = appendString(dst, m.From)
	}
	if m.Encoding != "" {
		dst = append(dst, `,"encoding":`...)
		dst = appendString(dst, m.Encoding)
	}
	return append(m.appendAttributes(dst), '}')
}

// appendString quotes text, which is valid UTF-8, as a JSON string.
func appendString(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // fails on invalid UTF-8 only, and still appends
	return dst
}
