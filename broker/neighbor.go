package broker

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"fanfare/models"
)

const (
	// renewal is how often a neighbor is asked whether all that it told has come, and whether it
	// answers again.
	renewal = 3 * time.Second
	// maxPatterns bounds the patterns that come or go in one question.
	maxPatterns = 100
	// maxHeard bounds the notices of one neighbor that wait, in bytes. More are lost, and it
	// is asked again.
	maxHeard = 4 << 20
)

// neighbor is another node as this one sees it: what it has told of its members. All that is done
// about it is done by its own goroutine, one thing after the other: while a question is under way,
// notices wait.
type neighbor struct {
	// Set by newNeighbor, never changed. wake has room for one signal that there is something to
	// do.
	name string
	home *node
	wake chan struct{}

	// Owned by its goroutine. session is that of the watch, 0 without one; next is the number of
	// the change that comes next in it, renewed was that of the newest change a renewal ago.
	session, next, renewed uint64

	// Guarded by home.mu. here tells that the node lives; left that it had left, of which the
	// watchers are to be told; silent that it did not answer, so that it is asked again only
	// with the next renewal.
	here, left, silent bool
	// views has what this node watches; unplaced those of which the neighbor has to be told,
	// dropped those that it knows and that are no more.
	views    *patternMap[*view]
	count    int
	unplaced []*view
	dropped  []models.Pattern
	// heard has the notices that wait, heardSize is how large they are.
	heard     [][]byte
	heardSize int
	// settled is closed when something was done.
	settled chan struct{}
}

// view is what this node knows of the neighbor's members that are in the topics of one pattern.
// It is guarded by node.mu, and only the neighbor's goroutine changes members.
type view struct {
	pattern models.Pattern
	members *members
	// placed tells that the neighbor tells of changes: members is right up to the one that was
	// heard last. Those up to since were in it from the start.
	placed bool
	since  uint64
	// asked tells that the neighbor may know of the pattern; ended that nobody watches any more.
	asked, ended bool
	// owed tells that watchers were given members: of every difference to them they have to be
	// told.
	owed bool
}

func newNeighbor(home *node, name string) *neighbor {
	return &neighbor{
		name:    name,
		home:    home,
		wake:    make(chan struct{}, 1),
		views:   newPatternMap[*view](),
		settled: make(chan struct{}),
	}
}

func (n *neighbor) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// watchLocked adds a pattern, with no members yet. owed tells that it has watchers already.
func (n *neighbor) watchLocked(p models.Pattern, owed bool) {
	v := &view{pattern: p, members: newMembers(), owed: owed}
	n.views.set(p, v)
	n.count++
	n.unplaced = append(n.unplaced, v)
	n.signal()
}

func (n *neighbor) unwatchLocked(p models.Pattern) {
	v, _ := n.views.get(p)
	n.views.delete(p)
	n.count--
	if v.ended = true; v.asked {
		n.dropped = append(n.dropped, p)
	}
	n.signal()
}

// settledLocked tells whether nothing more is to be waited for before members of these patterns
// are read.
func (n *neighbor) settledLocked(patterns []models.Pattern) bool {
	if !n.here || n.silent {
		return true
	}
	for _, p := range patterns {
		if v, found := n.views.get(p); !found || !v.placed {
			return false
		}
	}
	return true
}

// hearLocked takes a notice.
func (n *neighbor) hearLocked(notice []byte) {
	if n.heardSize+len(notice) > maxHeard {
		return // the numbers will tell
	}
	n.heard = append(n.heard, notice)
	n.heardSize += len(notice)
	n.signal()
}

// run lives as long as the neighbor does.
func (n *neighbor) run(ctx context.Context) {
	ticker := time.NewTicker(renewal)
	defer ticker.Stop()
	for !n.home.retire(n) {
		due := false
		select {
		case <-n.wake:
		case <-ticker.C:
			due = true
		case <-ctx.Done():
			return
		}
		n.step(ctx, due)
	}
}

// step does what there is to do.
func (n *neighbor) step(ctx context.Context, due bool) {
	n.home.mu.Lock()
	heard, left := n.heard, n.left
	n.heard, n.heardSize, n.left = nil, 0, false
	n.home.mu.Unlock()
	if left {
		n.forget(ctx)
	}
	for _, notice := range heard {
		n.hear(ctx, notice)
	}
	n.converge(ctx, due)
	n.home.mu.Lock()
	close(n.settled)
	n.settled = make(chan struct{})
	n.home.mu.Unlock()
}

// forget tells the watchers that all members have left.
func (n *neighbor) forget(ctx context.Context) {
	var gone []*members
	n.home.mu.Lock()
	n.loseLocked()
	n.views.each(func(v *view) {
		gone = append(gone, v.members)
		v.members = newMembers()
	})
	n.home.mu.Unlock()
	for _, members := range gone {
		members.Scan(func(m membership) bool {
			n.tell(ctx, models.NewLeave(m.topic, m.client.member()))
			return true
		})
	}
}

// loseLocked ends the session: all views have to be placed anew.
func (n *neighbor) loseLocked() {
	n.session, n.dropped, n.unplaced = 0, nil, nil
	n.views.each(func(v *view) {
		v.asked, v.placed = false, false
		n.unplaced = append(n.unplaced, v)
	})
}

func (n *neighbor) lose(silent bool) {
	n.home.mu.Lock()
	defer n.home.mu.Unlock()
	n.loseLocked()
	n.silent = silent
}

// hear applies a notice. Where one is missing before it, the session is lost.
func (n *neighbor) hear(ctx context.Context, notice []byte) {
	var heard news[models.PresenceChange]
	if json.Unmarshal(notice, &heard) != nil || heard.Session != n.session {
		return
	}
	if heard.First > n.next {
		n.lose(false)
		return
	}
	for i, change := range heard.Changes {
		if number := heard.First + uint64(i); number == n.next {
			n.next++
			n.apply(ctx, number, change)
		}
	}
}

// apply has a change take effect, unless it did with a view that was placed later.
func (n *neighbor) apply(ctx context.Context, number uint64, change models.PresenceChange) {
	m, ok := newMembership(change.Topic, change.Member)
	if !ok {
		return
	}
	changed := false
	n.home.mu.Lock()
	n.views.match(change.Topic, func(v *view) {
		if !v.placed || number <= v.since {
			return
		}
		changed = true
		if change.IsLeave() {
			v.members.Delete(m)
		} else {
			v.members.Set(m)
		}
	})
	n.home.mu.Unlock()
	if changed {
		n.tell(ctx, change)
	}
}

// tell tells this node's watchers, however long it takes.
func (n *neighbor) tell(ctx context.Context, change models.PresenceChange) {
	p := n.home.pubsub
	_ = p.dispatcher.budget.ease(ctx)
	p.dispatcher.presence.tell(change, p.shards)
}

// converge asks until the neighbor knows all that this node watches, and with due in any case.
func (n *neighbor) converge(ctx context.Context, due bool) {
	for {
		w, asked := n.nextWatch(due)
		if w == nil {
			return
		}
		answer, ok := n.ask(ctx, *w)
		switch {
		case !ok, answer.Unknown && w.Begin:
			n.lose(true)
			return
		case answer.Unknown:
			n.lose(false)
			continue
		}
		n.place(ctx, asked, answer)
		if due {
			// What it had told a renewal ago must have come by now.
			if n.next <= n.renewed {
				n.lose(false)
			}
			n.renewed = answer.Number
		}
		due = false
	}
}

// nextWatch makes the next question, with the views that are asked for, or nil.
func (n *neighbor) nextWatch(due bool) (w *watch, asked []*view) {
	n.home.mu.Lock()
	defer n.home.mu.Unlock()
	if !n.here || n.silent && !due || n.session == 0 && n.count == 0 {
		return nil, nil
	}
	w = &watch{Session: n.session}
	if n.session == 0 {
		n.home.sessions++
		n.session, n.next, n.renewed = n.home.sessions, 1, 0
		w.Session, w.Begin = n.session, true
	}
	drop := min(len(n.dropped), maxPatterns)
	w.Drop, n.dropped = n.dropped[:drop], n.dropped[drop:]
	for len(n.unplaced) > 0 && len(asked) < maxPatterns-drop {
		v := n.unplaced[0]
		n.unplaced = n.unplaced[1:]
		if !v.ended {
			v.asked = true
			asked = append(asked, v)
			w.Add = append(w.Add, v.pattern)
		}
	}
	if !w.Begin && !due && len(w.Add)+len(w.Drop) == 0 {
		return nil, nil
	}
	return w, asked
}

func (n *neighbor) ask(ctx context.Context, w watch) (answer sight, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	text := n.home.cluster.Ask(ctx, []string{n.name}, encode(question{Ask: askWatch, Watch: w}))[n.name]
	err := json.Unmarshal(text, &answer)
	return answer, err == nil && (answer.Unknown || len(answer.Members) == len(w.Add))
}

// place has views show what the neighbor has answered. Who watches already is told what is
// different.
func (n *neighbor) place(ctx context.Context, asked []*view, answer sight) {
	var changes []models.PresenceChange
	for i, v := range asked {
		now := membersIn(answer.Members[i])
		n.home.mu.Lock()
		before, owed := v.members, v.owed && !v.ended
		v.members, v.placed, v.since = now.Copy(), true, answer.Number
		n.home.mu.Unlock()
		if owed {
			changes = append(changes, differences(before, now)...)
		}
	}
	n.home.mu.Lock()
	if n.silent = false; n.count == 0 && len(n.dropped) == 0 {
		n.session = 0 // with nothing to watch, the neighbor has forgotten it
	}
	n.home.mu.Unlock()
	for _, change := range changes {
		n.tell(ctx, change)
	}
}

func newMembership(topic models.Topic, member models.Member) (_ membership, ok bool) {
	id, err := uuid.Parse(member.ClientID)
	client := &identity{id: id}
	client.caller.Store(&models.Caller{User: member.User})
	return membership{topic, client}, err == nil
}

func membersIn(rooms []room) *members {
	all := newMembers()
	for _, room := range rooms {
		for _, member := range room.Clients {
			if m, ok := newMembership(room.Topic, member); ok {
				all.Set(m)
			}
		}
	}
	return all
}

// differences gives what has changed from one moment to another.
func differences(before, now *members) (changes []models.PresenceChange) {
	before.Scan(func(m membership) bool {
		if same, found := now.Get(m); !found || same.client.member() != m.client.member() {
			changes = append(changes, models.NewLeave(m.topic, m.client.member()))
		}
		return true
	})
	now.Scan(func(m membership) bool {
		if same, found := before.Get(m); !found || same.client.member() != m.client.member() {
			changes = append(changes, models.NewJoin(m.topic, m.client.member()))
		}
		return true
	})
	return changes
}
