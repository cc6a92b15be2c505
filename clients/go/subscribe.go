package fanfare

import "time"

// What follows is the side of a Subscription that faces the connection.

// askLocked subscribes on the server, if this is the time for that.
func (s *Subscription) askLocked() {
	conn := s.client.conn
	if conn == nil || s.ended || s.resting || s.retry != nil || s.route != nil {
		return
	}
	ref := s.client.nextRefLocked()
	text := encodeRequest(request{
		Action: "subscribe", Topics: s.options.Topics, Since: s.since, Last: s.last,
		Overflow: s.options.Overflow, Presence: s.options.OnPresence != nil, Ref: ref,
	})
	if limit := conn.limits.FrameSize; limit > 0 && len(text) > limit {
		s.endLocked(errorf(CodePayloadTooLarge, "the topics are more than the %d bytes of a frame", limit))
		return
	}
	s.route = &route{
		subscription: s, ref: ref, patterns: s.options.Topics, replays: s.since != "" || s.last != 0,
	}
	conn.router.add(s.route)
	conn.sendLocked(text)
}

// acknowledgedLocked is for the ack of its subscribe, whose id is where the reader begins.
func (s *Subscription) acknowledgedLocked(id string, recovered bool) {
	s.refusals.reset()
	if !recovered && s.since != "all" { // who asks for what there is has lost nothing
		s.loseLocked(LostError{Topics: s.Topics(), Reason: LostResume})
	}
	select {
	case <-s.ready:
	default:
		s.read = id
		close(s.ready)
	}
}

// refusedLocked is for the error that answers its subscribe.
func (s *Subscription) refusedLocked(err *Error) {
	s.route = nil
	if !err.Code.isForNow() {
		s.endLocked(err)
		return
	}
	s.retry = time.AfterFunc(s.refusals.next(), func() {
		s.client.mu.Lock()
		defer s.client.mu.Unlock()
		s.retry = nil
		s.askLocked()
	})
}

// moveLocked keeps how far its connection has brought it.
func (s *Subscription) moveLocked(conn *connection) {
	if s.route != nil && s.route.stage != asked {
		s.since, s.last = conn.router.cursor(s.route).String(), 0
	}
}

// leaveLocked unsubscribes on the server.
func (s *Subscription) leaveLocked() {
	conn, route := s.client.conn, s.route
	if route == nil || conn == nil {
		return
	}
	s.moveLocked(conn)
	s.route = nil
	conn.leaveLocked(route)
}

// giveLocked has a message wait for the reader, unless that had it before.
func (s *Subscription) giveLocked(m Message, at position, isLive bool) {
	if !at.above(s.given) {
		return
	}
	s.given = at
	full := s.queue.messages >= s.options.Buffer
	switch {
	case !isLive: // a policy is for what is live
	case s.options.Overflow == OverflowLatest:
		s.queue.replaceOlder(m.Topic)
	case s.options.Overflow == OverflowDropOldest && full:
		s.queue.dropOldest(s.options.Topics)
	}
	s.tellLocked(entry{message: m, live: isLive})
	if s.queue.messages > s.options.Buffer || s.queue.messages == s.options.Buffer && !s.letsGo() {
		s.restLocked()
	}
}

// letsGo tells whether the overflow policy makes room, so that a full queue is none too full.
func (s *Subscription) letsGo() bool {
	return s.options.Overflow == OverflowLatest || s.options.Overflow == OverflowDropOldest
}

// restLocked leaves the log to the server until the reader has caught up with the queue.
func (s *Subscription) restLocked() {
	s.resting = true
	s.leaveLocked()
}

func (s *Subscription) loseLocked(lost LostError) {
	s.queue.lose(lost)
	s.signal()
}

func (s *Subscription) presenceLocked(event PresenceEvent) {
	if s.options.OnPresence != nil {
		s.callLocked(func() { s.options.OnPresence(event) })
	}
}

// callLocked has the reader call a function of the program.
func (s *Subscription) callLocked(call func()) {
	s.tellLocked(entry{call: call})
	if len(s.queue.entries)-s.queue.messages >= s.options.Buffer {
		s.restLocked()
	}
}

func (s *Subscription) tellLocked(e entry) {
	s.queue.push(e)
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// endLocked ends it. What waits can still be read, unless the program itself has closed it.
func (s *Subscription) endLocked(err *Error) {
	c := s.client
	if isClosed(err) {
		if len(s.queue.entries) > 0 {
			defer func() { s.since = s.read }() // the rest was not read
		}
		defer func() { s.queue = queue{} }()
	}
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	s.leaveLocked()
	if s.retry != nil {
		s.retry.Stop()
	}
	for _, pattern := range s.options.Topics {
		delete(c.patterns, pattern)
	}
	c.removeLocked(s)
	close(s.over)
}
