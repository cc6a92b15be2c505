package natsengine

import (
	"encoding/base64"
	"net/url"
	"strings"
	"time"

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

// headerSpace is what the headers of a message take, at most, in bytes: a name of 255 bytes, each
// of them encoded, and the rest.
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
	payload, err := payloadOf(draft)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{
		Subject: c.prefix + string(draft.Topic),
		Header:  nats.Header{headerStream: {c.stream}},
		Data:    payload,
	}
	if draft.Encoding != "" {
		m.Header[headerEncoding] = []string{draft.Encoding}
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
	return [][]byte{
		[]byte(subject), []byte(header.Get(headerFrom)), []byte(header.Get(headerEncoding)), []byte(header.Get(headerMsgID)), payload,
	}
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
	binary := s.header.Get(headerEncoding) == models.EncodingBase64
	if binary {
		m.Data, m.Encoding = models.BinaryData(s.payload), models.EncodingBase64
	}
	if ours {
		m.From, err = url.PathUnescape(s.header.Get(headerFrom))
		if !binary {
			m.Data = s.payload
		}
	} else {
		if !binary {
			m.Data, m.Encoding = models.ParseData(s.payload)
		}
	}
	if err != nil || len(m.Data) > c.maxData {
		return nil, true
	}
	return m, false
}

// sender tells whether a message was sent by one of us, and when it was.
func (c codec) sender(s stored) (at models.Timestamp, ours bool) {
	sent, ours := c.check(usageMessage, s.header.Get(headerStamp), fieldsOf(s.subject, s.header, s.payload)...)
	if ours && sent.Sub(s.time).Abs() <= c.skew {
		return models.Timestamp{Time: sent}, true
	}
	return models.Timestamp{Time: s.time.Truncate(time.Millisecond)}, false
}

// payloadOf gives the bytes that a draft's data stand for.
func payloadOf(draft models.Draft) ([]byte, error) {
	if draft.Encoding != models.EncodingBase64 {
		return draft.Data, nil
	}
	return base64.StdEncoding.DecodeString(strings.Trim(string(draft.Data), `"`))
}
