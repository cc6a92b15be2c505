package transport

import (
	"bytes"

	"fanfare/models"
)

// NDJSON is the format of one JSON object a line. A frame has no line break in it, of
// Unicode neither, so nothing in it can end its line. There is no welcome.
type NDJSON struct {
	// CloudEvents is as that of SSE.
	CloudEvents bool
}

// Message implements models.Format.
func (f NDJSON) Message(m *models.Message) []byte {
	return append(inOneLine(appendMessage(make([]byte, 0, m.Size()+frameRoom), m, f.CloudEvents)), '\n')
}

// Event implements models.Format.
func (NDJSON) Event(frame models.ServerFrame) []byte {
	if _, isWelcome := frame.(models.Welcome); isWelcome {
		return nil
	}
	return append(inOneLine(models.AppendServerFrame(make([]byte, 0, frameRoom), frame)), '\n')
}

// Heartbeat implements models.Format: an empty line, or a position.
func (f NDJSON) Heartbeat(position models.ID) []byte {
	if position == (models.ID{}) {
		return []byte("\n")
	}
	return f.Event(models.NewPosition(position))
}

// Close implements models.Format.
func (f NDJSON) Close(code models.CloseCode) []byte { return f.Event(models.NewClosing(code)) }

// inOneLine escapes what is a line break in Unicode and not in JSON (NEL, U+2028, U+2029):
// some readers of lines take them for one. In a frame they can only be inside of strings.
func inOneLine(frame []byte) []byte {
	if !bytes.ContainsAny(frame, "\u0085\u2028\u2029") {
		return frame
	}
	frame = bytes.ReplaceAll(frame, []byte("\u0085"), []byte(`\u0085`))
	frame = bytes.ReplaceAll(frame, []byte("\u2028"), []byte(`\u2028`))
	return bytes.ReplaceAll(frame, []byte("\u2029"), []byte(`\u2029`))
}
