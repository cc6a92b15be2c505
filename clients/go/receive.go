package fanfare

import (
	"strconv"
	"time"
)

// receive acts on a frame of the server. An error ends the connection. What it does not know it ignores, as the
// protocol wants.
func (conn *connection) receive(f *frame) error {
	c := conn.client
	c.mu.Lock()
	defer c.mu.Unlock()
	ref, _ := strconv.ParseUint(f.Ref.String(), 10, 64) // 0 without one
	switch f.Type {
	case "message":
		conn.messageLocked(f)
	case "ack":
		conn.ackLocked(ref, f)
	case "error":
		return conn.errorLocked(ref, f.err())
	case "caught_up":
		route := conn.router.caughtUp(parsePosition(f.ID))
		if s := current(route); s != nil && s.options.OnCaughtUp != nil {
			s.callLocked(s.options.OnCaughtUp)
		}
	case "position":
		conn.router.see(parsePosition(f.ID))
	case "notice":
		conn.noticeLocked(f)
	case "presence", "join", "leave":
		if ref != 0 {
			conn.answerLocked(ref, f, nil)
			break
		}
		conn.presenceLocked(f)
	}
	return nil
}

// current gives the subscription of a route, unless that has left it; nil also for no route.
func current(route *route) *Subscription {
	if route == nil || route.subscription.route != route {
		return nil
	}
	return route.subscription
}

func (conn *connection) messageLocked(f *frame) {
	at := parsePosition(f.ID)
	for _, route := range conn.router.recipients(f.Topic, at) {
		if s := current(route); s != nil {
			conn.useful = true
			s.giveLocked(Message{
				ID: f.ID, Topic: f.Topic, Data: f.Data, Time: f.Time, From: f.From, Encoding: f.Encoding,
				TraceParent: f.TraceParent, TraceState: f.TraceState, Event: f.Event,
			}, at, route.stage == live)
		}
	}
}

func (conn *connection) ackLocked(ref uint64, f *frame) {
	switch f.Action {
	case "subscribe":
		route := conn.router.find(ref)
		if route == nil {
			return
		}
		conn.router.acknowledged(route, parsePosition(f.ID))
		if s := current(route); s != nil {
			s.acknowledgedLocked(f.ID, f.Recovered == nil || *f.Recovered)
		}
	case "unsubscribe":
		if route := conn.router.find(ref); route != nil {
			conn.router.remove(route)
		}
	case "auth":
		delete(conn.auths, ref)
		conn.client.refusals = 0
		if conn.client.conn != conn {
			conn.client.attachLocked(conn)
		}
	default:
		conn.answerLocked(ref, f, nil)
	}
}

func (conn *connection) answerLocked(ref uint64, f *frame, err *Error) {
	if call := conn.client.calls[ref]; call != nil {
		conn.useful = true
		conn.client.answerLocked(call, f, err)
	}
}

// errorLocked is for a request that has failed.
func (conn *connection) errorLocked(ref uint64, err *Error) error {
	if conn.auths[ref] {
		return &refusedError{err}
	}
	route := conn.router.find(ref)
	switch {
	case route == nil:
		conn.answerLocked(ref, nil, err)
	case route.leave == ref:
		conn.stayedLocked(route, err)
	default:
		conn.router.remove(route)
		if s := current(route); s != nil {
			s.refusedLocked(err)
		}
	}
	return nil
}

// leaveLocked asks the server to end a route.
func (conn *connection) leaveLocked(route *route) {
	if len(route.patterns) == 0 {
		return
	}
	route.leave, route.left = conn.client.nextRefLocked(), len(route.patterns)
	conn.sendLocked(encodeRequest(request{Action: "unsubscribe", Topics: route.patterns, Ref: route.leave}))
}

// stayedLocked is for an unsubscribe that was refused.
func (conn *connection) stayedLocked(route *route, err *Error) {
	isLess := len(route.patterns) < route.left // it did not have some any more
	switch {
	case err.Code.isForNow(), isLess && conn.router.isWantedAnew(route):
		conn.leaveLaterLocked(route)
	case isLess:
		conn.leaveLocked(route)
	default:
		conn.router.remove(route)
	}
}

// leaveLaterLocked asks again after a pause, but not while the patterns are asked for anew: then it would be those
// that end.
func (conn *connection) leaveLaterLocked(route *route) {
	c := conn.client
	pause := backoff{first: askPause}
	time.AfterFunc(pause.next(), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.conn != conn || !conn.router.has(route):
		case conn.router.isWantedAnew(route):
			conn.leaveLaterLocked(route)
		default:
			conn.leaveLocked(route)
		}
	})
}

func (conn *connection) noticeLocked(f *frame) {
	route := conn.router.having(f.Topic)
	s := current(route)
	if f.Code == CodeForbidden && route != nil {
		conn.router.lose(route, f.Topic)
	}
	if s == nil {
		return
	}
	switch f.Code {
	case "gap":
		s.loseLocked(LostError{Topics: []string{f.Topic}, Reason: LostGap})
	case "dropped":
		s.tellLocked(entry{dropped: &DroppedError{Topics: []string{f.Topic}, Count: f.Count}})
	case CodeForbidden:
		s.endLocked(errorf(CodeForbidden, "%s is not allowed any more", f.Topic))
	case "incomplete":
		s.presenceLocked(PresenceEvent{Kind: PresenceIncomplete, Presence: Presence{Topic: f.Topic}})
	}
}

// presenceLocked is for who watches the topic.
func (conn *connection) presenceLocked(f *frame) {
	for _, route := range conn.router.routes {
		if s := current(route); s != nil && route.matches(f.Topic) {
			s.presenceLocked(PresenceEvent{Kind: PresenceKind(f.Type), Presence: f.presence()})
		}
	}
}
