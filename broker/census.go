package broker

import (
	"maps"
	"net/netip"
	"sync"

	"fanfare/models"
)

// census counts who comes and who leaves, and lets in no more than there is room for.
// Methods may be called concurrently.
type census struct {
	// limit bounds the clients, perAddress those of one address; 0 is no limit.
	limit, perAddress int

	mu      sync.Mutex
	total   int
	clients map[models.Transport]int
	closes  map[models.CloseCode]uint64
	// networks counts the clients of each, if that is limited. None is there without any.
	networks map[netip.Prefix]int
}

func newCensus(limit, perAddress int) *census {
	return &census{
		limit:      limit,
		perAddress: perAddress,
		clients:    make(map[models.Transport]int),
		closes:     make(map[models.CloseCode]uint64),
		networks:   make(map[netip.Prefix]int),
	}
}

// enter counts a client in, or fails with CodeTooManyClients.
func (c *census) enter(connection models.Connection) error {
	network := models.Network(connection.RemoteAddress)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refusalLocked(network); err != nil {
		return err
	}
	c.total++
	c.clients[connection.Transport]++
	if c.perAddress > 0 {
		c.networks[network]++
	}
	return nil
}

// leave counts a client out that has entered with this connection.
func (c *census) leave(connection models.Connection, reason models.CloseCode) {
	network := models.Network(connection.RemoteAddress)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	c.clients[connection.Transport]--
	c.closes[reason]++
	if c.networks[network]--; c.networks[network] <= 0 {
		delete(c.networks, network)
	}
}

// admits is nil when enter would let a client of the address in.
func (c *census) admits(address string) error {
	network := models.Network(address)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusalLocked(network)
}

// refusalLocked is why no client of the network may come, or nil.
func (c *census) refusalLocked(network netip.Prefix) error {
	switch {
	case c.limit > 0 && c.total >= c.limit:
		return models.ErrTooManyClients()
	case c.perAddress > 0 && c.networks[network] >= c.perAddress:
		return models.ErrTooManyOfAddress()
	default:
		return nil
	}
}

// counts gives the clients that are there, and those that have left.
func (c *census) counts() (clients map[models.Transport]int, closes map[models.CloseCode]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.clients), maps.Clone(c.closes)
}
