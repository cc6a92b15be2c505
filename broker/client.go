package broker

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"fanfare/models"
)

// Client is one live connection. Only the broker changes it; its methods may be
// called concurrently.
type Client struct {
	// Set by newClient, never changed.
	id          uuid.UUID
	caller      models.Caller
	connection  models.Connection
	connectedAt models.Timestamp
	conn        Conn
	format      models.Format
	shard       *shard
	// room tells the shard that conn can take more.
	room func()
	// removed is closed when the shard is done with the client.
	removed chan struct{}

	// mu guards what subscribing changes. The dispatcher holds it while it does that.
	mu            sync.Mutex
	subscriptions map[models.Pattern]*subscription
	leaving       bool

	// Written by the shard, read by anybody.
	queued    atomic.Int64
	delivered atomic.Uint64

	// Owned by the shard.
	outbox   outbox
	dirty    bool
	blocked  bool
	closing  models.CloseCode
	removing bool
	lastSeen uint64
	beat     beat
}

// subscription is a client's interest in one pattern.
type subscription struct {
	client  *Client
	pattern models.Pattern

	// Owned by the client's shard: the place in the pattern's subscribers.
	at int
}

func newClient(shards []*shard, caller models.Caller, conn Conn, connection models.Connection) (*Client, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	c := &Client{
		id:          id,
		caller:      caller,
		connection:  connection,
		connectedAt: models.Now(),
		conn:        conn,
		format:      conn.Format(),
		shard:       shards[int(id[len(id)-1])%len(shards)],
		removed:     make(chan struct{}),
	}
	c.room = func() { c.shard.queue.room(c) }
	return c, nil
}

// ID is the client's UUID as text (version 7, RFC 9562, section 5.7: ids are in the
// order of connecting).
func (c *Client) ID() string { return c.id.String() }

// Caller is who connected.
func (c *Client) Caller() models.Caller { return c.caller }

// Info describes the client as it is now.
func (c *Client) Info() models.ClientInfo {
	return models.ClientInfo{
		ID:            c.ID(),
		User:          c.caller.User,
		Transport:     c.connection.Transport,
		RemoteAddress: c.connection.RemoteAddress,
		UserAgent:     c.connection.UserAgent,
		ConnectedAt:   c.connectedAt,
		Subscriptions: c.patterns(),
		QueuedBytes:   c.queued.Load(),
		Delivered:     c.delivered.Load(),
	}
}

// patterns gives what the client is subscribed to, sorted, never nil.
func (c *Client) patterns() []models.Pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	patterns := make([]models.Pattern, 0, len(c.subscriptions))
	for p := range c.subscriptions {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	return patterns
}

// wants tells whether a message to the topic would reach the client.
func (c *Client) wants(t models.Topic) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.subscriptions {
		if p.Matches(t) {
			return true
		}
	}
	return false
}
