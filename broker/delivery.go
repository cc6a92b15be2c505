package broker

import (
	"sync"
	"sync/atomic"

	"fanfare/models"
)

// delivery is a message on its way through the shards.
type delivery struct {
	message *models.Message
	// waiting counts the shards that have not taken it yet.
	waiting atomic.Int32

	mu     sync.Mutex
	frames []encoded
}

type encoded struct {
	format models.Format
	frame  []byte
}

// frame encodes the message, the first time that a shard asks for the format.
func (d *delivery) frame(format models.Format) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.frames {
		if e.format == format {
			return e.frame
		}
	}
	frame := format.Message(d.message)
	d.frames = append(d.frames, encoded{format, frame})
	return frame
}
