package models

// Format puts frames into the bytes of one wire format. A format is comparable and has
// no state; a message is encoded once for each format, not once for each client, and
// the bytes are shared.
type Format interface {
	// Message encodes a message.
	Message(m *Message) []byte
	// Event encodes any other frame to a client.
	Event(frame ServerFrame) []byte
	// Ping is the heartbeat.
	Ping() []byte
	// Close is the last thing on a connection.
	Close(code CloseCode) []byte
}
