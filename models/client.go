package models

import (
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Caller is who asks something of the broker: behind every call stands one.
type Caller struct {
	// User is the authenticated name, empty for a stranger.
	User string
	// Address is where the request came from: host:port, or the host alone if a proxy says so.
	Address string
	// Scopes is what the caller may do. It is shared, and never changed.
	Scopes *Scopes
	// Expires is until when: then a live connection ends. Zero is never.
	Expires time.Time
}

// MayPublish is nil if the caller may publish to the topic, else CodeForbidden, or
// CodeUnauthorized for a stranger.
func (c Caller) MayPublish(t Topic) error {
	return c.permit(c.Scopes.MayPublish(t), "publish to this topic")
}

// MayPublishSome is MayPublish for any topic at all.
func (c Caller) MayPublishSome() error {
	return c.permit(c.Scopes != nil && len(c.Scopes.Publish) > 0, "publish")
}

// MaySubscribe is MayPublish for listening to all of the patterns.
func (c Caller) MaySubscribe(patterns ...Pattern) error {
	for _, p := range patterns {
		if err := c.permit(c.Scopes.MaySubscribe(p), "listen to all of this topic or pattern"); err != nil {
			return err
		}
	}
	return nil
}

// MayAdminister is MayPublish for what only administrators may do.
func (c Caller) MayAdminister() error {
	return c.permit(c.Scopes.IsAdmin(), "do this: it is for administrators")
}

func (c Caller) permit(allowed bool, what string) error {
	switch {
	case allowed:
		return nil
	case c.User == "":
		return ErrUnauthorized()
	default:
		return Errorf(CodeForbidden, "you may not %s", what)
	}
}

// LogValue implements slog.LogValuer.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", c.User), slog.String("address", c.Address))
}

// Transport names how a client is connected.
type Transport string

// The transports.
const (
	// TransportWebSocket is the one of GET /ws.
	TransportWebSocket Transport = "websocket"
	// TransportSSE and TransportNDJSON are those of GET /events.
	TransportSSE    Transport = "sse"
	TransportNDJSON Transport = "ndjson"
	// TransportPoll is a GET /topics/{name}/messages that waits.
	TransportPoll Transport = "poll"
)

// Connection is what is known of a client when it connects.
type Connection struct {
	Transport     Transport
	RemoteAddress string
	UserAgent     string
}

// ClientInfo describes a client at one moment.
type ClientInfo struct {
	ID string `json:"id" format:"uuid" example:"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"`
	// Node is the node that it is connected to, absent without a cluster.
	Node          string    `json:"node,omitzero" example:"fanfare-1-7hq2"`
	User          string    `json:"user,omitzero" example:"ada"`
	Transport     Transport `json:"transport" example:"websocket"`
	RemoteAddress string    `json:"remote_address" example:"127.0.0.1:51034"`
	UserAgent     string    `json:"user_agent,omitzero" example:"Mozilla/5.0"`
	ConnectedAt   Timestamp `json:"connected_at" swaggertype:"string" format:"date-time" example:"2026-11-23T17:45:01.250Z"`
	Subscriptions []Pattern `json:"subscriptions" swaggertype:"array,string" example:"news.*"`
	// QueuedBytes is what waits in the client's outbox.
	QueuedBytes int64 `json:"queued_bytes" example:"0"`
	// Delivered counts the messages written to the connection.
	Delivered uint64 `json:"delivered" example:"17"`
	// Dropped counts the messages that were dropped because the client was too slow for
	// them, as its subscriptions' overflow policies say.
	Dropped uint64 `json:"dropped" example:"0"`
}

// ClientFilter chooses a page of clients, in the order of their ids.
type ClientFilter struct {
	Page
	// Topic keeps the clients that a message to this topic would reach, unless empty.
	Topic Topic
	// User keeps the clients of one user, unless empty.
	User string
}

// ClientPage is a page of clients.
type ClientPage struct {
	Clients []ClientInfo `json:"clients"`
	// Next is where the next page begins, for the parameter after; absent on the last.
	Next string `json:"next,omitzero" example:"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"`
	// Unreachable names the nodes of the cluster that did not answer: what is theirs is
	// missing. Absent if all did.
	Unreachable []string `json:"unreachable,omitzero" example:"fanfare-2-k4m9"`
}

// MaxUserBytes is the longest name of a user, in bytes.
const MaxUserBytes = 255

// CheckUser checks the name of a user, which stands in messages, lists and logs: 1 to 255 bytes of
// UTF-8 without control characters.
func CheckUser(name string) error {
	if name == "" || len(name) > MaxUserBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return Errorf(CodeInvalidRequest, "a user's name has 1 to %d bytes of UTF-8 and no control characters", MaxUserBytes)
	}
	return nil
}
