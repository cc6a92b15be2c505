package transport

import (
	"bytes"
	"math/rand/v2"
	"strconv"

	"fanfare/models"
)

// A browser that was told to come back does so after a time of its own between these, in
// milliseconds, so that not all of them come at the same moment.
const (
	minRetry = 500
	maxRetry = 3000
)

// SSE is the format of server-sent events (WHATWG HTML, section 9.2). A message is an
// event without a name, which a browser hands to onmessage; every other frame is named
// after its type. The id of an event is its place in the log, and a browser that comes
// back sends the last one. A frame is one line of JSON, so nothing in it can end its
// event or begin another. There is no welcome.
type SSE struct {
	// CloudEvents has each message be a CloudEvent in the JSON format, and no frame.
	CloudEvents bool
}

// Message implements models.Format.
func (f SSE) Message(m *models.Message) []byte {
	dst := appendCursor(make([]byte, 0, m.Size()+frameRoom), m.ID)
	dst = appendMessage(append(dst, "data: "...), m, f.CloudEvents)
	return append(inOneLine(dst), "\n\n"...)
}

// Event implements models.Format.
func (SSE) Event(frame models.ServerFrame) []byte {
	dst := make([]byte, 0, frameRoom)
	switch f := frame.(type) {
	case models.Welcome:
		return nil
	case models.Ack:
		dst = appendCursor(dst, f.ID)
	case models.CaughtUp:
		dst = appendCursor(dst, f.ID)
	case models.Position:
		dst = appendCursor(dst, f.ID)
	}
	return appendNamed(dst, frame)
}

// Heartbeat implements models.Format: a comment, or an event that has nothing but an id,
// which a browser remembers without dispatching anything.
func (SSE) Heartbeat(position models.ID) []byte {
	if position == (models.ID{}) {
		return []byte(": \n\n")
	}
	return append(appendCursor(nil, position), '\n')
}

// Close implements models.Format.
func (SSE) Close(code models.CloseCode) []byte {
	dst := make([]byte, 0, frameRoom)
	if code == models.CloseGoingAway {
		retry := minRetry + rand.Int64N(maxRetry-minRetry+1) //nolint:gosec // no secret
		dst = append(strconv.AppendInt(append(dst, "retry: "...), retry, 10), '\n')
	}
	return appendNamed(dst, models.NewClosing(code))
}

// appendCursor appends the line that makes an id the browser's last one.
func appendCursor(dst []byte, id models.ID) []byte {
	if id == (models.ID{}) {
		return dst
	}
	dst = append(dst, "id: "...)
	dst = append(dst, id.String()...)
	return append(dst, '\n')
}

// appendNamed appends a frame as an event with the name of its type.
func appendNamed(dst []byte, frame models.ServerFrame) []byte {
	text := inOneLine(models.AppendServerFrame(nil, frame))
	dst = append(append(dst, "event: "...), typeOf(text)...)
	dst = append(append(dst, "\ndata: "...), text...)
	return append(dst, "\n\n"...)
}

// typeOf reads the type of a frame, which comes first in it.
func typeOf(frame []byte) []byte {
	rest := bytes.TrimPrefix(frame, []byte(`{"type":"`))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	return name
}
