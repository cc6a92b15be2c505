package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"fanfare/models"
)

// Client is one live connection. Only the broker changes it; its methods may be
// called concurrently.
type Client struct {
	// What a delivery needs comes first, so that it is in few cache lines.

	// Set by newClient, never changed. room tells the shard that conn can take more.
	format models.Format
	conn   Conn
	room   func()

	// Owned by the shard. wire is the index of format in the shard's formats, place is
	// where the client stood among those that a message went to. unplaced tells that it
	// had messages since the last position which may be dropped, or were.
	closing  models.CloseCode
	dirty    bool
	blocked  bool
	removing bool
	hungry   bool
	unplaced bool
	wire     int32
	place    uint64
	outbox   outbox
	// replays is the first of those that have not ended.
	replays *replay

	// Written by the shard, read by anybody.
	queued    atomic.Int64
	delivered atomic.Uint64
	dropped   atomic.Uint64

	// Owned by the shard. listed counts the subscriptions.
	beat   beat
	listed int32

	identity

	// hasRoom is set when room is called, and cleared by the shard. disconnecting tells that
	// the client's close is queued.
	hasRoom, disconnecting atomic.Bool

	// Set by newClient, never changed. removed is done when the shard is done with the
	// client.
	connection  models.Connection
	connectedAt int64 // Unix time in nanoseconds
	shard       *shard
	removed     sync.WaitGroup

	// mu guards what subscribing changes. The dispatcher holds it while it does that.
	// subscriptions are in the order of their patterns: for the few that most clients
	// have, a map would take more memory than all the rest.
	mu sync.Mutex
	// expiry closes the client when its caller's time is up, nil for never.
	subscriptions []*subscription
	leaving       bool
	expiry        *time.Timer
}

// identity is what others know a client by, on whichever node it is.
type identity struct {
	// Set once, never changed.
	id uuid.UUID

	// caller is who connected, or has renewed since, without the address: so clients can share one.
	caller atomic.Pointer[models.Caller]
}

// ID is the client's UUID as text (version 7, RFC 9562, section 5.7: ids are in the
// order of connecting).
func (i *identity) ID() string { return i.id.String() }

func (i *identity) member() models.Member {
	return models.Member{ClientID: i.ID(), User: i.caller.Load().User}
}

// subscription is a client's interest in one pattern.
type subscription struct {
	client  *Client
	pattern models.Pattern

	// Guarded by presence.mu. watches tells whether it wants to know who joins and leaves.
	watches bool

	// Owned by the client's shard. at is the place in the pattern's subscribers, -1
	// without one. kind is that of the messages. replay is what it waits for before it is
	// live.
	at     int32
	kind   kind
	replay *replay
	// dropped counts the messages that were dropped and not told of yet. While there
	// are any, notice is where in the outbox it will be told.
	notice  int
	dropped uint64
}

func newClient(shards []*shard, caller *models.Caller, conn Conn, connection models.Connection) (*Client, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	c := &Client{
		identity:    identity{id: id},
		connection:  connection,
		connectedAt: time.Now().UnixNano(),
		conn:        conn,
		format:      conn.Format(),
		shard:       shards[int(id[len(id)-1])%len(shards)],
	}
	c.caller.Store(caller)
	c.removed.Add(1)
	c.room = func() {
		c.hasRoom.Store(true)
		c.shard.queue.room(c)
	}
	return c, nil
}

// Caller is for whom the client acts: who connected, or has renewed since.
func (c *Client) Caller() models.Caller {
	by := *c.caller.Load()
	by.Address = c.connection.RemoteAddress
	return by
}

// Info describes the client as it is now.
func (c *Client) Info() models.ClientInfo {
	return models.ClientInfo{
		ID:            c.ID(),
		User:          c.Caller().User,
		Transport:     c.connection.Transport,
		RemoteAddress: c.connection.RemoteAddress,
		UserAgent:     c.connection.UserAgent,
		ConnectedAt:   models.Timestamp{Time: time.Unix(0, c.connectedAt)},
		Subscriptions: c.patterns(),
		QueuedBytes:   c.queued.Load(),
		Delivered:     c.delivered.Load(),
		Dropped:       c.dropped.Load(),
	}
}

// patterns gives what the client is subscribed to, sorted, never nil.
func (c *Client) patterns() []models.Pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	patterns := make([]models.Pattern, 0, len(c.subscriptions))
	for _, sub := range c.subscriptions {
		patterns = append(patterns, sub.pattern)
	}
	return patterns
}

// wants tells whether a message to the topic would reach the client.
func (c *Client) wants(t models.Topic) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.subscriptions, func(sub *subscription) bool { return sub.pattern.Matches(t) })
}
