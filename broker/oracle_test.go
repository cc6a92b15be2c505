package broker_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"fanfare/models"
)

// oracle knows the whole log of a history: what was published, in which order, and by
// which step it was gone. When the history is over it says of every listener whether what
// it got is what it was due.
type oracle struct {
	mu      sync.Mutex
	entries []*entry
	lives   []string

	byID map[models.ID]*entry
	// looks has one for each step, and one from before the first.
	looks []look
	// disruptions are the steps in which messages were lost on their way, or the log began
	// anew.
	disruptions []int64
	// slack tells that the log forgets topics of which nothing is left, ordered that delivery
	// is never late, and settled that each step ended before the next one.
	slack, ordered, settled bool

	problems []string
	tally    tally
}

// tally counts what the histories have in them, so that none of it is missing. excused are
// the gaps that were told without a cause, since the log did not know better.
type tally struct {
	replayed, live, recovered, lost, gaps, misses, excused int
	caughtUp, cutReplays, closed, positions, pages         int
}

// entry is a message in the log. gone is the step after which it was found to be removed,
// -1 if it was not.
type entry struct {
	id    models.ID
	topic models.Topic
	at    place
	gone  int64
}

func (e *entry) goneBy(step int64) bool { return e.gone >= 0 && e.gone <= step }

func (e *entry) matches(patterns []models.Pattern) bool {
	return slices.ContainsFunc(patterns, func(p models.Pattern) bool { return p.Matches(e.topic) })
}

// place is where something lies in the logs of all lives. Life 0 is none of them.
type place struct {
	life     int
	sequence uint64
}

func (p place) before(q place) bool {
	return p.life < q.life || p.life == q.life && p.sequence < q.sequence
}

// publish notes a message that is in the log.
func (o *oracle) publish(receipt models.Receipt) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, &entry{id: receipt.ID, topic: receipt.Topic})
}

// look is what the log was found to have after a step.
type look struct {
	newest   place
	retained map[models.ID]bool
}

// look notes what the log is found to have.
func (o *oracle) look(retained []*models.Message, newest models.ID) {
	l := look{o.place(newest), make(map[models.ID]bool)}
	for _, m := range retained {
		l.retained[m.ID] = true
	}
	o.looks = append(o.looks, l)
}

// known gives the messages that are in the log by now.
func (o *oracle) known() []*entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.entries)
}

func (o *oracle) place(id models.ID) place {
	if !slices.Contains(o.lives, id.Epoch) {
		return place{}
	}
	return place{slices.Index(o.lives, id.Epoch) + 1, id.Sequence}
}

// close puts the log into its order. Nothing is published after it.
func (o *oracle) close() {
	o.byID = make(map[models.ID]*entry)
	for _, e := range o.entries {
		e.at = o.place(e.id)
		e.gone = int64(slices.IndexFunc(o.looks, func(l look) bool { return !l.newest.before(e.at) && !l.retained[e.id] }))
		o.byID[e.id] = e
	}
	slices.SortFunc(o.entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.at.life, b.at.life), cmp.Compare(a.at.sequence, b.at.sequence))
	})
}

// between visits the messages that match, after one place and up to another.
func (o *oracle) between(patterns []models.Pattern, after, upTo place, visit func(*entry)) {
	for _, e := range o.entries {
		if after.before(e.at) && !upTo.before(e.at) && e.matches(patterns) {
			visit(e)
		}
	}
}

// end is behind everything.
func (o *oracle) end() place { return place{len(o.lives) + 1, 0} }

func (o *oracle) disrupted(step int64) (count int) {
	for _, s := range o.disruptions {
		if s <= step {
			count++
		}
	}
	return count
}

func (o *oracle) problem(format string, args ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

// judgeRecovered holds an answer to a since to the promise: true if nothing after it is
// missing, false only with a cause.
func (o *oracle) judgeRecovered(patterns []models.Pattern, start models.Start, before, after int64, recovered bool, begin models.ID) {
	end := o.looks[before].newest
	life := max(end.life, o.place(begin).life)
	since := o.place(start.Since)
	if start.All {
		since = place{life, 0}
	}
	foreign, future := since.life != life, end.life == since.life && end.before(since)
	var lost, surely *entry
	o.between(patterns, since, o.end(), func(e *entry) {
		if e.goneBy(after) {
			lost = e
		}
		if e.goneBy(before) {
			surely = e
		}
	})
	if recovered {
		o.tally.recovered++
		if foreign || surely != nil {
			o.problem("recovered after %v, although of %v %+v was removed", start, patterns, surely)
		}
		return
	}
	o.tally.lost++
	if !foreign && !future && lost == nil && !o.slack && end.life == life {
		o.problem("not recovered after %v of %v, without a cause", start, patterns)
	}
}

// judgeBeginning holds a cursor that was given for a start to the rules.
func (o *oracle) judgeBeginning(r *request, begin models.ID, recovered *bool) {
	end := o.looks[r.before].newest
	since, at := o.place(r.start.Since), o.place(begin)
	if r.start.All {
		since = place{end.life, 0}
	}
	switch {
	case r.start.Last > 0:
		o.judgeTail(r, begin)
	case at == since:
	case at == place{end.life, 0} && !*recovered && (since.life != end.life || end.before(since)):
	case at.life < end.life && (since == place{end.life, 0} || !*recovered):
		// A new log, of which this node is yet to hear.
	default:
		o.problem("%+v begins at %v", r.start, begin)
	}
}

// judgeTail: after the place there are as many retained messages as were asked for, or all.
func (o *oracle) judgeTail(r *request, begin models.ID) {
	if o.looks[r.before].newest != o.looks[r.after].newest {
		return
	}
	retained, after := 0, 0
	changed := false
	o.between(r.patterns, place{}, o.looks[r.after].newest, func(e *entry) {
		changed = changed || e.gone == r.after
		if !e.goneBy(r.after) {
			retained++
			if o.place(begin).before(e.at) {
				after++
			}
		}
	})
	if want := min(retained, r.start.Last); !changed && after != want {
		o.problem("the last %d of %v begin at %v, after which there are %d; %d are retained", r.start.Last, r.patterns, begin, after, retained)
	}
}

// account is what the oracle knows of a listener: what it has seen, and what of each
// pattern it was told to be missing.
type account struct {
	o    *oracle
	seen map[models.ID]bool
	told map[models.Pattern]map[models.ID]bool
}

func (o *oracle) newAccount() *account {
	return &account{o: o, seen: make(map[models.ID]bool), told: make(map[models.Pattern]map[models.ID]bool)}
}

func (a *account) tell(patterns []models.Pattern, e *entry) {
	for _, p := range patterns {
		if p.Matches(e.topic) {
			if a.told[p] == nil {
				a.told[p] = make(map[models.ID]bool)
			}
			a.told[p][e.id] = true
		}
	}
}

// judge goes through all that a listener did.
func (a *account) judge(l *listener) {
	for i, past := range l.past {
		count := len(a.o.problems)
		switch e := past.(type) {
		case *session:
			a.judgeSession(e)
		case *poll:
			a.judgePoll(e)
		}
		for _, c := range past.claimed() {
			a.judgeClaim(c)
		}
		for j := range a.o.problems[count:] {
			a.o.problems[count+j] = fmt.Sprintf("%s, %d: %s", l.name, i, a.o.problems[count+j])
		}
	}
}

// judgeClaim: who goes on at a cursor has seen what lies before it, or was told.
//
// Where messages were lost on their way and a replay brings them all the same, there is no
// telling which subscription they are for.
func (a *account) judgeClaim(c claim) {
	seen := a.seen
	if len(a.o.disruptions) == 0 {
		seen = make(map[models.ID]bool)
		for _, id := range c.got {
			seen[id] = true
		}
	}
	a.o.between([]models.Pattern{c.pattern}, a.o.place(c.from), a.o.place(c.upTo), func(e *entry) {
		if !seen[e.id] && !a.told[c.pattern][e.id] {
			a.o.problem("from %v on, its cursor of %s is %v, but it has not seen %v, nor was it told", c.from, c.pattern, c.upTo, e.id)
		}
	})
}

// judgePoll: a page has all that is retained from its beginning to its next.
func (a *account) judgePoll(p *poll) {
	o := a.o
	if p.err != nil {
		return
	}
	o.tally.pages++
	patterns := []models.Pattern{p.pattern}
	next := o.place(p.page.Next)
	after := o.place(p.start.Since)
	if after.life != next.life || next.before(after) {
		after = place{next.life, 0}
	}
	complete := false
	switch {
	case p.start.Resumes() && p.page.Recovered == nil:
		o.problem("%+v is not answered", p.start)
	case p.start.Resumes():
		complete = *p.page.Recovered
		o.judgeRecovered(patterns, p.start, p.before, p.after, complete, p.page.Next)
	case p.page.Recovered != nil:
		o.judgeUnasked(p)
	}
	on := make(map[models.ID]bool)
	last := after
	for _, m := range p.page.Messages {
		e := o.byID[m.ID]
		if e != nil && e.at.life < next.life && !complete {
			// A new log began in the midst of the page.
			on[m.ID], a.seen[m.ID] = true, true
			continue
		}
		if e == nil || e.topic != m.Topic || !p.pattern.Matches(m.Topic) || !last.before(e.at) || next.before(e.at) {
			o.problem("a page of %s after %v up to %v has %v of %s", p.pattern, last, next, m.ID, m.Topic)
			return
		}
		if p.start.Last > 0 && len(on) == 0 {
			after = e.at
		}
		last = e.at
		on[m.ID], a.seen[m.ID] = true, true
	}
	if p.start.Last > 0 && len(on) == 0 {
		after = next
	}
	o.between(patterns, after, next, func(e *entry) {
		switch {
		case on[e.id]:
		case e.goneBy(p.after) && !complete:
			a.tell(patterns, e)
		default:
			o.problem("a page of %s from %v to %v lacks %+v", p.pattern, after, next, *e)
		}
	})
	switch n := len(p.page.Messages); {
	case n > p.limit:
		o.problem("%d messages, at most %d were asked for", n, p.limit)
	case n < p.limit && next.before(o.looks[p.before].newest) && p.wait == 0:
		o.problem("a page of %s ends at %v, the log at %v", p.pattern, next, o.looks[p.before].newest)
	}
}

// judgeUnasked: who gave no since is told nothing, unless something was lost while it waited.
func (o *oracle) judgeUnasked(p *poll) {
	lost := false
	o.between([]models.Pattern{p.pattern}, place{}, o.end(), func(e *entry) {
		lost = lost || e.goneBy(p.after) && !e.goneBy(p.before)
	})
	if *p.page.Recovered || p.wait == 0 || !lost && !o.slack && o.disrupted(p.after) == o.disrupted(p.before) {
		o.problem("recovered is %v without a since, after %v", *p.page.Recovered, p.wait)
	}
}

// judgeSession goes through the frames of a connection.
func (a *account) judgeSession(s *session) {
	c := &course{account: a, session: s, subs: make(map[models.Pattern]*due)}
	for i, f := range s.frames()[:s.read] {
		count := len(a.o.problems)
		c.step = f.step
		c.take(f)
		for j := range a.o.problems[count:] {
			a.o.problems[count+j] = fmt.Sprintf("frame %d, %v: %s", i, f, a.o.problems[count+j])
		}
	}
	for p, sub := range c.subs {
		if sub.gap { // something was missing up to where the connection was
			patterns := []models.Pattern{p}
			a.o.between(patterns, sub.passed, a.o.place(s.highest), func(e *entry) { a.tell(patterns, e) })
		}
	}
	if !s.alive {
		for _, r := range c.replays {
			a.o.tally.cutReplays++
			c.finish(r)
		}
		return
	}
	c.pass(a.o.end(), nil)
	for _, r := range c.replays {
		a.o.problem("the replay of %v after %v never ended; it came to %v", r.request.patterns, r.begin, r.passed)
	}
}

// course is what a connection is due at one moment.
type course struct {
	*account
	session *session
	step    int64
	subs    map[models.Pattern]*due
	// replays run one after the other.
	replays []*replayDue
}

// due is a subscription: what matches after passed is due live, unless a replay brings it.
type due struct {
	pattern models.Pattern
	passed  place
	// gap tells that something may be missing before what comes next.
	gap    bool
	replay *replayDue
}

// replayDue is a replay: what matches after passed is due, unless the listener knows that
// it is missing, since it was gone by the step told; -1 for nothing.
type replayDue struct {
	request       *request
	patterns      []models.Pattern
	begin, passed place
	told          int64
	// either has what may have come by it, or live.
	got, either map[*entry]bool
	gaps        map[models.Pattern]int
	// gapStep is when the last of them came; torn tells that it can be of messages that were
	// lost on their way, right there.
	gapStep int64
	torn    bool
}

func (c *course) take(f frame) {
	switch f.Type {
	case "ack":
		r := c.session.requests[f.Ref]
		switch {
		case r == nil || r.action != f.Action || !slices.Equal(r.topics(), f.topics()):
			c.o.problem("no such request")
		case r.action == models.ActionUnsubscribe:
			c.unsubscribed(r, f)
		case r.start.Replays():
			c.replaying(r, f)
		default:
			c.subscribed(r, f)
		}
	case "message":
		c.message(f)
	case "caught_up":
		c.caughtUp(f)
	case "position":
		c.o.tally.positions++
		if len(c.replays) > 0 || len(c.subs) == 0 {
			c.o.problem("a position, with %d subscriptions and %d replays", len(c.subs), len(c.replays))
		}
		c.pass(c.o.place(f.ID), nil)
	case "notice":
		c.gap(f)
	case "welcome", "ping", "close":
	default:
		c.o.problem("such a frame")
	}
}

// pass: all that is live has come up to a place, where except is.
func (c *course) pass(upTo place, except *entry) {
	for _, sub := range c.subs {
		if sub.replay != nil || !sub.passed.before(upTo) {
			continue
		}
		patterns := []models.Pattern{sub.pattern}
		c.o.between(patterns, sub.passed, upTo, func(e *entry) {
			switch {
			case e == except:
			case sub.gap:
				c.tell(patterns, e)
			default:
				c.o.problem("%v is due before, of %s", e.id, sub.pattern)
			}
		})
		sub.passed, sub.gap = upTo, false
	}
}

// passPerhaps is pass up to a message that may be of a replay, and so says nothing of gaps.
func (c *course) passPerhaps(e *entry) {
	var gaps []*due
	for _, sub := range c.subs {
		if sub.gap {
			gaps = append(gaps, sub)
		}
	}
	c.pass(e.at, e)
	for _, sub := range gaps {
		sub.gap = true
	}
}

func (c *course) subscribed(r *request, ack frame) {
	if ack.Recovered != nil {
		c.o.problem("recovered without a since")
	}
	position := c.o.place(ack.ID)
	if c.o.ordered && position.before(c.o.looks[r.before].newest) {
		c.o.problem("the position is %v, and before that the log was at %v", position, c.o.looks[r.before].newest)
	}
	c.pass(position, nil)
	for _, p := range r.patterns {
		if c.subs[p] == nil {
			c.subs[p] = &due{pattern: p, passed: position}
		}
	}
}

func (c *course) replaying(r *request, ack frame) {
	if r.start.Resumes() != (ack.Recovered != nil) {
		c.o.problem("recovered is %v", ack.Recovered)
		return
	}
	begin := c.o.place(ack.ID)
	replay := &replayDue{request: r, begin: begin, passed: begin, told: r.after, got: make(map[*entry]bool), either: make(map[*entry]bool), gaps: make(map[models.Pattern]int)}
	c.o.judgeBeginning(r, ack.ID, ack.Recovered)
	if r.start.Resumes() {
		c.o.judgeRecovered(r.patterns, r.start, r.before, r.after, *ack.Recovered, ack.ID)
		if *ack.Recovered {
			replay.told = -1
		} else {
			c.o.between(r.patterns, c.o.place(r.start.Since), begin, func(e *entry) { c.tell(r.patterns, e) })
		}
	}
	for _, p := range r.patterns {
		sub := c.subs[p]
		switch {
		case sub == nil:
			sub = &due{pattern: p}
			c.subs[p] = sub
		case sub.replay == replay:
			continue // named twice
		case sub.replay != nil:
			c.leave(sub)
		}
		sub.replay, sub.gap = replay, false
		replay.patterns = append(replay.patterns, p)
	}
	c.replays = append(c.replays, replay)
}

func (c *course) unsubscribed(r *request, ack frame) {
	c.pass(c.o.place(ack.ID), nil)
	for _, p := range r.patterns {
		if sub := c.subs[p]; sub != nil && sub.replay != nil {
			c.leave(sub)
		}
		delete(c.subs, p)
	}
}

// leave takes a subscription out of its replay.
func (c *course) leave(sub *due) {
	r := sub.replay
	if r.patterns = slices.DeleteFunc(r.patterns, func(p models.Pattern) bool { return p == sub.pattern }); len(r.patterns) == 0 {
		c.finish(r)
		c.replays = slices.DeleteFunc(c.replays, func(other *replayDue) bool { return other == r })
	}
	sub.replay = nil
}

func (c *course) message(f frame) {
	e := c.o.byID[f.ID]
	if e == nil || string(e.topic) != f.Topic {
		c.o.problem("no such message")
		return
	}
	c.seen[e.id] = true
	for _, sub := range c.subs {
		// What is both live and in a replay comes live first, unless that is lost.
		if sub.replay == nil && sub.passed.before(e.at) && sub.pattern.Matches(e.topic) {
			c.o.tally.live++
			if len(c.replays) > 0 && c.o.disrupted(c.step) > 0 {
				c.replays[0].either[e] = true
				c.passPerhaps(e)
				return
			}
			c.pass(e.at, e)
			return
		}
	}
	if len(c.replays) == 0 || !e.matches(c.replays[0].patterns) || c.replays[0].got[e] {
		c.o.problem("it is not due")
		return
	}
	r := c.replays[0]
	r.got[e] = true
	if !r.passed.before(e.at) {
		c.o.problem("it is not due: the replay came to %v", r.passed)
	}
	c.o.tally.replayed++
	c.advance(r, e.at)
}

// advance: all of a replay has come up to a place.
func (c *course) advance(r *replayDue, upTo place) {
	c.o.between(r.patterns, r.passed, upTo, func(e *entry) {
		switch {
		case r.got[e], r.either[e]:
		case e.goneBy(r.told), r.torn:
			c.o.tally.misses++
			c.tell(r.patterns, e)
		default:
			c.o.problem("%+v is due before, of %v; it was told of what was gone by step %d", *e, r.patterns, r.told)
		}
	})
	r.passed, r.torn = upTo, false
}

func (c *course) caughtUp(f frame) {
	if len(c.replays) == 0 || !slices.Equal(c.replays[0].request.topics(), f.topics()) {
		c.o.problem("no such replay")
		return
	}
	c.o.tally.caughtUp++
	r, at := c.replays[0], c.o.place(f.ID)
	if at.life == r.passed.life && at.sequence < r.passed.sequence {
		c.o.problem("it came to %v", r.passed)
	}
	torn := r.torn
	c.advance(r, at)
	for _, p := range r.patterns {
		c.subs[p].replay, c.subs[p].passed, c.subs[p].gap = nil, at, torn
	}
	c.finish(r)
	c.replays = c.replays[1:]
}

func (c *course) gap(f frame) {
	sub := c.subs[models.Pattern(f.Topic)]
	switch {
	case f.Code != "gap" || sub == nil:
		c.o.problem("such a notice")
	case sub.replay == nil:
		if sub.gap = true; c.o.disrupted(f.step) == 0 {
			c.o.problem("nothing was lost on its way")
		}
	case sub.replay != c.replays[0]:
		c.o.problem("its replay is not under way")
	default:
		c.o.tally.gaps++
		r := sub.replay
		r.gaps[sub.pattern]++
		r.gapStep = f.step
		r.told = f.step
		r.torn = r.torn || c.o.disrupted(f.step) > 0
	}
}

// finish: for each gap that a replay told of, something is missing that was removed since
// it was asked for.
func (c *course) finish(r *replayDue) {
	missing := 0
	c.o.between(r.request.patterns, r.begin, c.o.end(), func(e *entry) {
		if !r.got[e] && e.goneBy(r.gapStep) && !e.goneBy(r.request.before) {
			missing++
		}
	})
	if !c.o.settled { // what is removed just while the log is read may be told twice
		missing *= 2
	}
	for p, n := range r.gaps {
		switch {
		case n <= missing+2*c.o.disrupted(r.gapStep): // a new log may be found out by reading and by hearing
		case c.o.slack: // of topics that it forgot the log knows the furthest place alone
		case c.o.forgetful(r.request.patterns, r.begin, r.gapStep):
			c.o.tally.excused++
		default:
			c.o.problem("%d gaps in the replay of %s after %v, in which %d messages are missing", n, p, r.begin, missing)
		}
	}
}

// forgetful tells whether a topic has lost more messages than the log remembers of one: it
// may take what was removed after the replay's end for what was removed before it.
func (o *oracle) forgetful(patterns []models.Pattern, after place, step int64) bool {
	const remembered = 8
	gone := make(map[models.Topic]int)
	most := 0
	o.between(patterns, after, o.end(), func(e *entry) {
		if e.goneBy(step) {
			gone[e.topic]++
			most = max(most, gone[e.topic])
		}
	})
	return most > remembered
}
