package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"fanfare/broker"
	"fanfare/models"
)

// listener is a client as somebody else would write it, who has read docs/protocol.md and
// nothing else: it knows its cursors by the rules there, and comes back with them.
type listener struct {
	name string
	// subs has what it is subscribed to, as far as it knows.
	subs map[models.Pattern]*tracked
	// now is its connection, nil without one; polling is its long poll, likewise. past has
	// all of them, claims what it believes at the end of each.
	now     *session
	polling *poll
	past    []episode
}

// tracked is one subscription of a listener.
type tracked struct {
	// cursor is where it goes on, unless it is live.
	cursor models.ID
	// waits is the request whose caught_up it waits for; live tells that it has come, or
	// that it need not.
	waits *request
	live  bool
	// from is where it began: the listener claims to have seen what matches after it, up
	// to its cursor, or to have been told.
	from models.ID
	// last is the newest message that it was given, got has all of them.
	last models.ID
	got  []models.ID
}

// episode is something that a listener did: a session or a poll.
type episode interface {
	// claims gives what the listener believed when it ended.
	claimed() []claim
}

// claim says that of a pattern all that lies after one place and up to another was seen.
type claim struct {
	pattern    models.Pattern
	from, upTo models.ID
	got        []models.ID
}

// request is a subscribe or an unsubscribe, a step of a history that lay between two
// looks at the log.
type request struct {
	ref      int
	action   models.Action
	patterns []models.Pattern
	start    models.Start
	// resumes tells that since is the cursor of all its patterns.
	resumes bool
	// before and after are the steps of the last look before it and the first after it.
	before, after int64
	// done tells that it was answered without an error.
	done bool
}

// topics gives the patterns as text.
func (r *request) topics() (topics []string) {
	for _, p := range r.patterns {
		topics = append(topics, string(p))
	}
	return topics
}

// session is one connection of a listener.
type session struct {
	conn   *wire
	client *broker.Client
	// stream tells that it is one as GET /events has it: with one request, and whose every
	// id is the cursor.
	stream   bool
	requests map[int]*request
	// has is what it is subscribed to on the server.
	has map[models.Pattern]bool
	// gone is closed when nothing is written to it any more.
	gone chan struct{}
	// read counts the frames that the listener has seen, highest is the highest id in them.
	// Those of a session that is over are all that it ever sees.
	read    int
	highest models.ID
	claims  []claim
	alive   bool
}

func (s *session) claimed() []claim { return s.claims }

// frames gives all that has come so far.
func (s *session) frames() []frame {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return slices.Clone(s.conn.frames)
}

// readAll reads all that has come, or what a peer read that is cut off there.
func (l *listener) readAll(upTo int) {
	s := l.now
	for _, f := range s.frames()[s.read:upTo] {
		l.take(f)
		s.read++
	}
}

// take follows the rules.
func (l *listener) take(f frame) {
	s := l.now
	switch f.Type {
	case "ack":
		r := s.requests[f.Ref]
		if r.action == models.ActionUnsubscribe {
			for _, p := range r.patterns {
				delete(l.subs, p)
			}
			return
		}
		for _, p := range r.patterns {
			l.subscribed(p, r, f)
		}
		s.see(f.ID)
	case "caught_up":
		for _, t := range l.subs {
			if t.waits != nil && slices.Equal(t.waits.topics(), f.topics()) {
				t.waits, t.live = nil, true
			}
		}
		s.see(f.ID)
	case "message":
		l.give(f)
		s.see(f.ID)
	case "position":
		s.see(f.ID)
	}
}

// give finds out for which subscriptions a message is. What is newer than all that the
// connection has brought so far is live, for those that are live and match. The rest is of
// the replay that is under way, which is that of the oldest request.
func (l *listener) give(f frame) {
	topic, given := models.Topic(f.Topic), false
	var oldest *request
	for p, t := range l.subs {
		if t.live && isAfter(f.ID, l.now.highest) && p.Matches(topic) {
			t.give(f.ID)
			given = true
		}
		if t.waits != nil && (oldest == nil || t.waits.ref < oldest.ref) {
			oldest = t.waits
		}
	}
	for p, t := range l.subs {
		if !given && t.waits != nil && t.waits == oldest && p.Matches(topic) {
			t.give(f.ID)
		}
	}
}

// give hands a message to the subscription, unless it has had it.
func (t *tracked) give(id models.ID) {
	if isAfter(id, t.last) {
		t.last = id
		t.got = append(t.got, id)
	}
}

// isAfter compares ids. What is of another log is new.
func isAfter(id, other models.ID) bool {
	return id.Epoch != other.Epoch || id.Sequence > other.Sequence
}

func (l *listener) subscribed(p models.Pattern, r *request, ack frame) {
	t := l.subs[p]
	if t == nil {
		t = &tracked{from: ack.ID}
		l.subs[p] = t
	}
	if !r.start.Replays() {
		if !t.live && t.waits == nil {
			t.from, t.last, t.live = ack.ID, ack.ID, true
		}
		return
	}
	if !r.resumes {
		t.from, t.last = ack.ID, ack.ID
	}
	t.cursor, t.waits, t.live = ack.ID, r, false
}

// see notes an id. One of another log takes the place of whatever was before it.
func (s *session) see(id models.ID) {
	if isAfter(id, s.highest) {
		s.highest = id
	}
}

// left ends the listener's session where it has read it.
func (l *listener) left() {
	s := l.now
	for p, t := range l.subs {
		switch {
		case s.stream && (t.live || t.waits != nil), t.live:
			t.cursor = s.highest
		}
		t.live, t.waits = false, nil
		s.claims = append(s.claims, claim{p, t.from, t.cursor, t.got})
	}
	l.now = nil
}

// cursors gives the patterns that have one cursor, for each cursor.
func (l *listener) cursors() map[models.ID][]models.Pattern {
	cursors := make(map[models.ID][]models.Pattern)
	for _, p := range l.patterns() {
		cursors[l.subs[p].cursor] = append(cursors[l.subs[p].cursor], p)
	}
	return cursors
}

func (l *listener) patterns() (patterns []models.Pattern) {
	for p := range l.subs {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	return patterns
}

// frame is a line with the step of the history in which it had been written at the latest.
type frame struct {
	line
	step int64
}

// String is short, for people.
func (f frame) String() string {
	text := fmt.Sprintf("%s %v %v by step %d", f.Type, f.topics(), f.ID, f.step)
	if f.Recovered != nil {
		text += fmt.Sprintf(", recovered: %t", *f.Recovered)
	}
	return text
}

// topics gives the patterns of an ack or a caught_up.
func (f frame) topics() []string {
	if f.Topic != "" {
		return []string{f.Topic}
	}
	return f.Topics
}

// wire is a pipe that keeps what was written to it, in one of several formats.
type wire struct {
	*pipe
	format models.Format
	step   *atomic.Int64
	// frames is guarded by the pipe's mu.
	frames []frame
}

func (w *wire) Format() models.Format { return w.format }

func (w *wire) Write(b []byte, room func()) (int, error) {
	n, err := w.pipe.Write(b, room)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		w.frames = append(w.frames, frame{l, w.step.Load()})
	}
	w.lines = nil
	return n, err
}

// paddedFormat is lineFormat with messages that are longer on the wire.
type paddedFormat struct {
	lineFormat
	padding int
}

func (f paddedFormat) Message(m *models.Message) []byte {
	return append(m.AppendFrame(nil), strings.Repeat(" ", f.padding)+"\n"...)
}

// streamFormat is one for listeners who only listen: it greets nobody, and its heartbeat
// is nothing but the position.
type streamFormat struct{ paddedFormat }

func (f streamFormat) Event(e models.ServerFrame) []byte {
	if _, greets := e.(models.Welcome); greets {
		return nil
	}
	return f.paddedFormat.Event(e)
}

func (f streamFormat) Heartbeat(position models.ID) []byte {
	if position == (models.ID{}) {
		return nil
	}
	return f.Event(models.NewPosition(position))
}
