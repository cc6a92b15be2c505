package broker

import (
	"maps"
	"sync"

	"fanfare/models"
)

// census counts who comes and who leaves, and lets in no more than there is room for.
// Methods may be called concurrently.
type census struct {
	// limit bounds the clients, 0 for no limit.
	limit int

	mu      sync.Mutex
	total   int
	clients map[models.Transport]int
	closes  map[models.CloseCode]uint64
}

func newCensus(limit int) *census {
	return &census{
		limit:   limit,
		clients: make(map[models.Transport]int),
		closes:  make(map[models.CloseCode]uint64),
	}
}

// enter counts a client in, or fails with CodeTooManyClients.
func (c *census) enter(t models.Transport) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fullLocked() {
		return models.ErrTooManyClients()
	}
	c.total++
	c.clients[t]++
	return nil
}

// leave counts a client out.
func (c *census) leave(t models.Transport, reason models.CloseCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	c.clients[t]--
	c.closes[reason]++
}

// admits is nil when enter would let a client in.
func (c *census) admits() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fullLocked() {
		return models.ErrTooManyClients()
	}
	return nil
}

func (c *census) fullLocked() bool { return c.limit > 0 && c.total >= c.limit }

// counts gives the clients that are there, and those that have left.
func (c *census) counts() (clients map[models.Transport]int, closes map[models.CloseCode]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.clients), maps.Clone(c.closes)
}
