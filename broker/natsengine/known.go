package natsengine

import (
	"sync"

	"fanfare/models"
)

// known is the furthest place that the log is known to have come to. Its methods may be called concurrently.
type known struct {
	mu sync.Mutex
	at models.ID
}

// learn takes note of where the stream's leader says that it is. One of another epoch stands in for all
// before it.
func (k *known) learn(to models.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if to.Epoch != k.at.Epoch || to.Sequence > k.at.Sequence {
		k.at = to
	}
}

// raise takes note of a place in the log that is known.
func (k *known) raise(to models.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if to.Epoch == k.at.Epoch && to.Sequence > k.at.Sequence {
		k.at = to
	}
}

func (k *known) get() models.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}
