package models

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Action names what a client asks for over its connection.
type Action string

// The actions of the WebSocket protocol.
const (
	ActionSubscribe   Action = "subscribe"
	ActionUnsubscribe Action = "unsubscribe"
	ActionPublish     Action = "publish"
	ActionPresence    Action = "presence"
	ActionAuth        Action = "auth"
	ActionPing        Action = "ping"
)

// Actions gives all that clients can ask for.
func Actions() []Action {
	return []Action{ActionSubscribe, ActionUnsubscribe, ActionPublish, ActionPresence, ActionAuth, ActionPing}
}

// IsKnown tells whether it is one of them.
func (a Action) IsKnown() bool { return slices.Contains(Actions(), a) }

// Ref is what a client put into a request to know its answer again: a JSON string or
// number, echoed as it came. Nil is no ref.
type Ref = jsontext.Value

// Request is a frame from client to server.
//
//	{"action":"subscribe","topic":"news.*","ref":1}          answer: ack
//	{"action":"subscribe","topics":["a","b.>"],"ref":2}      answer: one ack for all
//	{"action":"subscribe","topic":"a","overflow":"latest"}   answer: ack
//	{"action":"subscribe","topic":"a","since":"4kq9zt2m-7"}  answer: ack, the replay, caught_up
//	{"action":"subscribe","topic":"a","last":10}             answer: ack, the replay, caught_up
//	{"action":"subscribe","topic":"room.1","presence":true}  answer: ack, presence; then join and leave
//	{"action":"unsubscribe","topic":"news.*","ref":3}        answer: ack
//	{"action":"publish","topic":"news.eu","data":{"n":1}}    answer: ack if there is a ref
//	{"action":"presence","topic":"room.1"}                   answer: presence
//	{"action":"auth","token":"eyJ…"}                         answer: ack; from here on the token counts
//	{"action":"ping"}                                        answer: pong
//
// Whatever fails is answered by an error frame with the ref.
type Request struct {
	Action Action   `json:"action"`
	Topic  string   `json:"topic"`
	Topics []string `json:"topics"`
	// Overflow names the Overflow of a subscribe; empty is OverflowDisconnect.
	Overflow string `json:"overflow"`
	// Since and Last are where a subscribe begins, as ParseStart reads them.
	Since string `json:"since"`
	Last  *int   `json:"last"`
	// Presence of a subscribe asks for the members, and who joins and leaves.
	Presence bool `json:"presence"`
	// Key is the idempotency key of a publish.
	Key string `json:"key"`
	// Attributes of a publish are those of its message.
	Attributes
	// Token is the token, or API key, of an auth.
	Token string `json:"token"`
	// Data is any JSON value. Message is accepted in its place.
	Data    jsontext.Value `json:"data"`
	Message jsontext.Value `json:"message"`
	Ref     Ref            `json:"ref"`
}

// Welcome is the first frame on every connection.
//
//	{"type":"welcome","client_id":"019ab…","message":"Hi Client!","ping_interval":25,"limits":{…}}
type Welcome struct {
	Type     string `json:"type"`
	ClientID string `json:"client_id"`
	Message  string `json:"message"`
	// PingInterval is how often the server pings, in seconds. Silence for longer than
	// this and some seconds means that the connection is dead.
	PingInterval float64 `json:"ping_interval"`
	Limits       Limits  `json:"limits"`
}

// Limits is what a client must keep to. Sizes are in bytes.
type Limits struct {
	// MessageSize bounds a message's data, as JSON text.
	MessageSize int `json:"message_size"`
	// FrameSize bounds a frame to the server.
	FrameSize int `json:"frame_size"`
	// OutboxSize bounds what waits for the client; more closes it with CloseSlowConsumer.
	OutboxSize int `json:"outbox_size"`
	// Subscriptions bounds a client's subscriptions.
	Subscriptions int `json:"subscriptions"`
}

// Ack says that a request was carried out.
//
//	{"type":"ack","action":"subscribe","topic":"news.*","id":"4kq9zt2m-1042","ref":1}
//	{"type":"ack","action":"subscribe","topic":"news.*","recovered":true,"id":"4kq9zt2m-7","ref":1}
type Ack struct {
	Type   string   `json:"type"`
	Action Action   `json:"action"`
	Topic  string   `json:"topic,omitzero"`
	Topics []string `json:"topics,omitzero"`
	// Recovered is there if since was asked for: whether nothing that matched after it is
	// missing in the replay.
	Recovered *bool `json:"recovered,omitzero"`
	// ID is, of a subscription, its cursor: whatever matches after it will come;
	// of a publish, the message's id.
	ID ID `json:"id,omitzero"`
	// Duplicate tells of a publish that its key was used before: the id is that of then.
	Duplicate bool `json:"duplicate,omitzero"`
	Ref       Ref  `json:"ref,omitzero"`
}

// CaughtUp says that the replay that a subscribe asked for is complete: from here on its
// subscriptions are live.
//
//	{"type":"caught_up","topic":"news.*","id":"4kq9zt2m-1042"}
type CaughtUp struct {
	Type   string   `json:"type"`
	Topic  string   `json:"topic,omitzero"`
	Topics []string `json:"topics,omitzero"`
	ID     ID       `json:"id"`
}

// Position moves the cursor of a client for whom there was no message for a while.
//
//	{"type":"position","id":"4kq9zt2m-1042"}
type Position struct {
	Type string `json:"type"`
	ID   ID     `json:"id"`
}

// Presence lists the clients that are subscribed to a topic itself. It answers the action
// presence, and follows the ack of a subscribe with presence.
//
//	{"type":"presence","topic":"room.1","clients":[{"client_id":"019ab…","user":"ada"}]}
//	{"type":"presence","topic":"room.1","clients":[],"unreachable":["fanfare-2-k4m9"]}
type Presence struct {
	Type    string   `json:"type"`
	Topic   Topic    `json:"topic"`
	Clients []Member `json:"clients"`
	// Next is there if the list is not complete: GET /topics/{name}/clients has the rest
	// after it.
	Next string `json:"next,omitzero"`
	// Unreachable names the nodes of the cluster that did not answer in time: their members are
	// missing. To who watches they come as joins, as soon as the node is heard of.
	Unreachable []string `json:"unreachable,omitzero"`
	Ref         Ref      `json:"ref,omitzero"`
}

// PresenceChange says that a client has subscribed to a topic itself, or does not any more.
//
//	{"type":"join","topic":"room.1","client_id":"019ab…","user":"ada"}
//	{"type":"leave","topic":"room.1","client_id":"019ab…","user":"ada"}
type PresenceChange struct {
	Type  string `json:"type"`
	Topic Topic  `json:"topic"`
	Member
}

// Closing is the last frame of a stream, where there is no close frame that could say why.
//
//	{"type":"close","code":1001,"reason":"server going away"}
type Closing struct {
	Type   string    `json:"type"`
	Code   CloseCode `json:"code"`
	Reason string    `json:"reason"`
}

// ErrorFrame says why a request failed. The connection stays open.
//
//	{"type":"error","code":"invalid_topic","message":"a topic must not be empty","ref":1}
type ErrorFrame struct {
	Type    string `json:"type"`
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Ref     Ref    `json:"ref,omitzero"`
}

// Notice tells a subscriber what it could not see for itself.
//
//	{"type":"notice","code":"gap","topic":"news.*"}                  messages that matched are missing here
//	{"type":"notice","code":"dropped","topic":"news.*","count":7}    an overflow policy dropped so many
//	{"type":"notice","code":"incomplete","topic":"room.*"}           not all members that it has were listed
//	{"type":"notice","code":"forbidden","topic":"news.*"}            the subscription has ended: the new token does not cover it
type Notice struct {
	Type  string  `json:"type"`
	Code  string  `json:"code"`
	Topic Pattern `json:"topic"`
	// Count is absent if it is not known.
	Count uint64 `json:"count,omitzero"`
}

// Pong answers the action ping.
type Pong struct {
	Type string `json:"type"`
	Ref  Ref    `json:"ref,omitzero"`
}

// ServerFrame is a frame from server to client, other than a message.
type ServerFrame interface{ serverFrame() }

func (Welcome) serverFrame()        {}
func (Ack) serverFrame()            {}
func (CaughtUp) serverFrame()       {}
func (Position) serverFrame()       {}
func (Presence) serverFrame()       {}
func (PresenceChange) serverFrame() {}
func (Closing) serverFrame()        {}
func (ErrorFrame) serverFrame()     {}
func (Notice) serverFrame()         {}
func (Pong) serverFrame()           {}

// NewWelcome greets the client of that id.
func NewWelcome(clientID string, pingInterval float64, limits Limits) Welcome {
	return Welcome{
		Type:         "welcome",
		ClientID:     clientID,
		Message:      "Hi Client!",
		PingInterval: pingInterval,
		Limits:       limits,
	}
}

// NewAck acknowledges a request. Its ID is still to be set.
func NewAck(request Request) Ack {
	return Ack{
		Type:   "ack",
		Action: request.Action,
		Topic:  request.Topic,
		Topics: request.Topics,
		Ref:    request.Ref,
	}
}

// NewCaughtUp ends the replay of the subscribe that an ack has answered.
func NewCaughtUp(ack Ack, id ID) CaughtUp {
	return CaughtUp{Type: "caught_up", Topic: ack.Topic, Topics: ack.Topics, ID: id}
}

// NewPosition moves a cursor.
func NewPosition(id ID) Position { return Position{Type: "position", ID: id} }

// NewPresence lists a page of a topic's members.
func NewPresence(topic Topic, page MemberPage, ref Ref) Presence {
	return Presence{
		Type: "presence", Topic: topic, Clients: page.Clients, Next: page.Next, Unreachable: page.Unreachable, Ref: ref,
	}
}

// NewJoin says that a member has come.
func NewJoin(topic Topic, member Member) PresenceChange {
	return PresenceChange{Type: "join", Topic: topic, Member: member}
}

// IsLeave tells a leave from a join.
func (c PresenceChange) IsLeave() bool { return c.Type == "leave" }

// NewLeave says that a member has gone.
func NewLeave(topic Topic, member Member) PresenceChange {
	return PresenceChange{Type: "leave", Topic: topic, Member: member}
}

// NewClosing says why a stream ends.
func NewClosing(code CloseCode) Closing {
	return Closing{Type: "close", Code: code, Reason: code.String()}
}

// NewErrorFrame reports an error's code and message.
func NewErrorFrame(err *Error, ref Ref) ErrorFrame {
	return ErrorFrame{Type: "error", Code: err.Code, Message: err.Message, Ref: ref}
}

// NewGapNotice says that messages are missing in the subscription to pattern.
func NewGapNotice(pattern Pattern) Notice {
	return Notice{Type: "notice", Code: "gap", Topic: pattern}
}

// NewDroppedNotice says that the overflow policy of the subscription to pattern dropped
// count messages here or after here.
func NewDroppedNotice(pattern Pattern, count uint64) Notice {
	return Notice{Type: "notice", Code: "dropped", Topic: pattern, Count: count}
}

// NewIncompleteNotice says that the members of the topics that match were too many to list.
func NewIncompleteNotice(pattern Pattern) Notice {
	return Notice{Type: "notice", Code: "incomplete", Topic: pattern}
}

// NewForbiddenNotice says that the subscription to pattern has ended, since it is not
// allowed any more.
func NewForbiddenNotice(pattern Pattern) Notice {
	return Notice{Type: "notice", Code: "forbidden", Topic: pattern}
}

// NewPong answers a ping.
func NewPong(ref Ref) Pong {
	return Pong{Type: "pong", Ref: ref}
}

// AppendServerFrame appends the frame, one JSON object, to dst.
func AppendServerFrame(dst []byte, frame ServerFrame) []byte {
	text, err := json.Marshal(frame)
	if err != nil {
		// Refs are checked when they come in and the rest is ours.
		panic("models: a server frame that is no JSON: " + err.Error())
	}
	return append(dst, text...)
}
