package natsengine

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"fanfare/models"
)

// The headers of a message, beside those of JetStream.
const (
	headerFrom     = "Fanfare-From"
	headerEncoding = "Fanfare-Encoding"
	headerStamp    = "Fanfare-Stamp"
)

// The headers that JetStream knows.
const (
	headerMsgID       = "Nats-Msg-Id"
	headerStream      = "Nats-Expected-Stream"
	headerLastSubject = "Nats-Expected-Last-Subject-Sequence"
)

// headerSpace is what is kept free for the headers of a message, in bytes: for a name of 255 bytes, each of them encoded, and
// the rest. An event's attributes may need more, since they are encoded, too: then the largest data are too large beside them.
const headerSpace = 16 << 10

// What stamps are for.
const (
	usageMessage = "message"
	usageKey     = "key"
	usageNode    = "node"
)

// codec makes messages of NATS of ours, and ours of them. Its methods may be called concurrently.
type codec struct {
	signer
	// prefix is that of topics, with its dot.
	prefix string
	// maxData bounds the data of a message that is delivered, in bytes.
	maxData int
	// skew is how far a stamp and the time of JetStream may be apart: half of its window for
	// duplicates, so that a message that somebody copies, stamp and all, is either a duplicate or
	// too late.
	skew time.Duration
	// stream is the one that messages have to come into.
	stream string
}

// encode makes what is sent to the stream of a draft.
func (c codec) encode(draft models.Draft, at time.Time) (*nats.Msg, error) {
	payload, encoding, err := payloadOf(draft)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{
		Subject: c.prefix + string(draft.Topic),
		Header:  nats.Header{headerStream: {c.stream}},
		Data:    payload,
	}
	if encoding != "" {
		m.Header[headerEncoding] = []string{encoding}
	}
	if err := addAttributes(m.Header, draft.Attributes); err != nil {
		return nil, err
	}
	if draft.From != "" {
		m.Header[headerFrom] = []string{url.PathEscape(draft.From)}
	}
	switch {
	case draft.Key != "":
		m.Header[headerMsgID] = []string{c.mac(usageKey, []byte(draft.From), []byte(draft.Topic), []byte(draft.Key))}
	case draft.From != "": // so that no copy of it passes for another of the same publisher
		m.Header[headerMsgID] = []string{nuid.Next()}
	}
	m.Header[headerStamp] = []string{c.stamp(usageMessage, at, fieldsOf(m.Subject, m.Header, payload)...)}
	return m, nil
}

// fieldsOf is what a message's stamp stands for.
func fieldsOf(subject string, header nats.Header, payload []byte) [][]byte {
	fields := [][]byte{
		[]byte(subject), []byte(header.Get(headerFrom)), []byte(header.Get(headerEncoding)), []byte(header.Get(headerMsgID)), payload,
	}
	for _, name := range carried(header) {
		fields = append(fields, []byte(name), []byte(header.Get(name)))
	}
	return fields
}

// stored is a message as the stream has it.
type stored struct {
	subject  string
	header   nats.Header
	payload  []byte
	sequence uint64
	time     time.Time
}

// decode makes a message of what the stream has, or nil: if it has no topic it is none, and if it is larger
// than limits.message_size, it is lost to those who listen. It may keep and change the payload.
func (c codec) decode(s stored, epoch string) (_ *models.Message, lost bool) {
	name, found := strings.CutPrefix(s.subject, c.prefix)
	if !found {
		return nil, false
	}
	topic, err := models.ParseTopic(name)
	if err != nil {
		return nil, false
	}
	m := &models.Message{ID: models.ID{Epoch: epoch, Sequence: s.sequence}, Topic: topic}
	at, ours := c.sender(s)
	m.Time = at
	a := attributesOf(s.header)
	var event jsontext.Value
	if ours {
		m.From, err = url.PathUnescape(s.header.Get(headerFrom))
		event, m.Data, m.Encoding = dataOfOurs(s, a)
	} else {
		event, m.Data, m.Encoding = dataOfOthers(s, a)
	}
	m.Attributes = models.NewAttributes(a.traceParent, a.traceState, event)
	if err != nil || len(m.Data) > c.maxData {
		return nil, true
	}
	return m, false
}

// dataOfOurs gives what one of us has published: the way back from payloadOf.
func dataOfOurs(s stored, a attributes) (event, data jsontext.Value, encoding string) {
	if a.event != nil {
		event, _ = a.event.Event() // it was checked when it was published
	}
	switch encoding := s.header.Get(headerEncoding); {
	case encoding == models.EncodingBase64:
		return event, models.BinaryData(s.payload), encoding
	case encoding == encodingText:
		return event, models.TextData(s.payload), ""
	case len(s.payload) == 0:
		return event, jsontext.Value("null"), ""
	default:
		return event, s.payload, ""
	}
}

// dataOfOthers gives what another NATS client has published. What is no good event is a message all the same.
func dataOfOthers(s stored, a attributes) (event, data jsontext.Value, encoding string) {
	if s.header.Get(headerEncoding) == models.EncodingBase64 {
		data, encoding = models.BinaryData(s.payload), models.EncodingBase64
	}
	if strings.HasPrefix(strings.ToLower(a.contentType), structured) {
		if event, data, encoding, err := models.ParseEvent(s.payload); err == nil {
			return event, data, encoding
		}
	} else if a.event != nil {
		var err error
		if event, err = a.event.Event(); err == nil && data == nil {
			// It may change what it is given, and then say that it is no good.
			data, encoding, err = models.ParseEventBody(a.contentType, bytes.Clone(s.payload))
		}
		if err != nil {
			event = nil
		}
	}
	if data == nil {
		data, encoding = models.ParseData(s.payload)
	}
	return event, data, encoding
}

// sender tells whether a message was sent by one of us, and when it was.
func (c codec) sender(s stored) (at models.Timestamp, ours bool) {
	sent, ours := c.check(usageMessage, s.header.Get(headerStamp), fieldsOf(s.subject, s.header, s.payload)...)
	if ours && sent.Sub(s.time).Abs() <= c.skew {
		return models.Timestamp{Time: sent}, true
	}
	return models.Timestamp{Time: s.time.Truncate(time.Millisecond)}, false
}

// encodingText says of a payload that it is the text of an event, where other payloads are JSON.
const encodingText = "text"

// payloadOf gives the bytes that a draft's data stand for, and how they are to be read. Those of an event are what its NATS
// binding says: without data there are none.
func payloadOf(draft models.Draft) (payload []byte, encoding string, err error) {
	if draft.Encoding == models.EncodingBase64 {
		payload, err = base64.StdEncoding.DecodeString(strings.Trim(string(draft.Data), `"`))
		return payload, draft.Encoding, err
	}
	if event := draft.Attributes.EventText(); event != nil {
		if text, isText := models.EventText(event, draft.Data); isText {
			return []byte(text), encodingText, nil
		} else if string(draft.Data) == "null" {
			return nil, "", nil
		}
	}
	return draft.Data, "", nil
}
