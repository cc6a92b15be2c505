package transport

import "fanfare/models"

// NDJSON is the format of one JSON object a line. A frame has no line break in it, so
// nothing in it can end its line. There is no welcome.
type NDJSON struct{}

// Message implements models.Format.
func (NDJSON) Message(m *models.Message) []byte {
	return append(m.AppendFrame(make([]byte, 0, len(m.Data)+frameRoom)), '\n')
}

// Event implements models.Format.
func (NDJSON) Event(frame models.ServerFrame) []byte {
	if _, isWelcome := frame.(models.Welcome); isWelcome {
		return nil
	}
	return append(models.AppendServerFrame(make([]byte, 0, frameRoom), frame), '\n')
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
