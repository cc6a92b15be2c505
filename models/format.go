package models

// Format puts frames into the bytes of one wire format. A format is comparable and has
// no state; a message is encoded once for each format, not once for each client, and
// the bytes are shared.
type Format interface {
	// Message encodes a message.
	Message(m *Message) []byte
	// Event encodes any other frame to a client. It is empty for a frame that the format
	// does not have.
	Event(frame ServerFrame) []byte
	// Heartbeat shows that the connection lives. A position that is not the zero ID moves
	// the client's cursor there.
	Heartbeat(position ID) []byte
	// Close is the last thing on a connection.
	Close(code CloseCode) []byte
}
