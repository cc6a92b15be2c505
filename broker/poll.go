package broker

import (
	"sync"

	"fanfare/models"
)

// poll is the Conn of a client that only wants to know when there is a message for it: it
// reads the log itself.
type poll struct {
	// message has room for one signal that there was a message.
	message chan struct{}
	// closed is closed when the client has to leave.
	closed chan struct{}
	once   sync.Once
}

func newPoll() *poll {
	return &poll{message: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Format implements Conn.
func (*poll) Format() models.Format { return pollFormat{} }

// Write implements Conn.
func (p *poll) Write(b []byte, _ func()) (int, error) {
	select {
	case p.message <- struct{}{}:
	default:
	}
	return len(b), nil
}

// Close implements Conn.
func (p *poll) Close(models.CloseCode) { p.once.Do(func() { close(p.closed) }) }

// pollFormat has no frames but messages, and what it has says nothing.
type pollFormat struct{}

func (pollFormat) Message(*models.Message) []byte { return []byte{0} }

func (pollFormat) Event(models.ServerFrame) []byte { return nil }

func (pollFormat) Heartbeat(models.ID) []byte { return nil }

func (pollFormat) Close(models.CloseCode) []byte { return []byte{0} }
