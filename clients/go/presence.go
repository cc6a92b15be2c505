package fanfare

import "context"

// Member is a client that is subscribed to a topic.
type Member struct {
	ClientID string `json:"client_id"`
	// User is who it is, if the server knows.
	User string `json:"user"`
}

// Presence is who is subscribed to a topic, to this very one.
type Presence struct {
	Topic   string
	Members []Member
	// Next is there if there are more: GET /topics/{name}/clients?after=NEXT has the rest.
	Next string
	// Unreachable names the nodes of a cluster that did not answer: their members are missing.
	Unreachable []string
}

// PresenceKind is what a PresenceEvent tells.
type PresenceKind string

// The kinds.
const (
	// PresenceMembers: these are the members, of a topic that had some.
	PresenceMembers PresenceKind = "presence"
	// PresenceJoin and PresenceLeave: one member has come, or gone.
	PresenceJoin  PresenceKind = "join"
	PresenceLeave PresenceKind = "leave"
	// PresenceIncomplete: the members of the topics that match a pattern were too many to tell.
	PresenceIncomplete PresenceKind = "incomplete"
)

// PresenceEvent tells who is subscribed to a topic, or comes or goes. Each change is told at least once: after a
// reconnect, and after a subscription has rested, the members are told anew, and who is not among them any more has
// left.
type PresenceEvent struct {
	Kind PresenceKind
	Presence
}

// Presence asks once who is subscribed to a topic. The context is as that of Publish.
func (c *Client) Presence(ctx context.Context, topic string) (Presence, error) {
	answer, err := c.do(ctx, request{Action: "presence", Topic: topic})
	if err != nil {
		return Presence{}, err
	}
	return answer.presence(), nil
}

// presence gives the members of a frame of the types presence, join and leave.
func (f *frame) presence() Presence {
	p := Presence{Topic: f.Topic, Members: f.Clients, Next: f.Next, Unreachable: f.Unreachable}
	if f.ClientID != "" {
		p.Members = []Member{{ClientID: f.ClientID, User: f.User}}
	}
	return p
}
