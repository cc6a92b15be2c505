package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"fanfare/models"
)

// delivery is a message on its way through the shards. The last one to take it has it let go of the
// message.
type delivery struct {
	message *models.Message
	// subscriptions counts those that matched when it was published.
	subscriptions int
	// began is when it was handed to the shards.
	began time.Duration
	// waiting counts the shards that have not taken it yet, offering those that have not
	// offered it to all of their clients.
	waiting, offering atomic.Int32

	mu      sync.Mutex
	encoded []encoded
}

type encoded struct {
	format  models.Format
	payload *payload
}

// payload encodes the message, the first time that a shard asks for the format.
func (d *delivery) payload(format models.Format) *payload {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.encoded {
		if e.format == format {
			return e.payload
		}
	}
	p := &payload{bytes: format.Message(d.message), topic: d.message.Topic}
	d.encoded = append(d.encoded, encoded{format, p})
	return p
}
