package fanfare

import "slices"

// router finds out which subscription a message of one connection is for: the frame does not say. It also
// keeps the cursors that the connection has moved. The rules are in docs/protocol.md, The cursor.
type router struct {
	// highest is the cursor of all routes that are live: the last place in the log that was seen.
	highest position
	// routes are in the order of their requests, in which the server answers them, too.
	routes []*route
}

// route is one subscribe request, until its unsubscribe is acknowledged: up to then its messages come, and
// must not be taken for those of another.
type route struct {
	subscription *Subscription
	// ref is that of the subscribe, leave that of the unsubscribe, 0 without one.
	ref, leave uint64
	// patterns are those that it still has on the server; left is how many it had when it was to leave.
	patterns []string
	left     int
	// replays tells that it has asked for the past.
	replays bool
	stage   stage
	// at is how far its replay has come, and its cursor until it is live.
	at position
}

// stage is how far a subscribe has come. The stages follow each other.
type stage int

const (
	asked stage = iota
	replaying
	live
)

func (r *route) matches(topic string) bool {
	return slices.ContainsFunc(r.patterns, func(pattern string) bool { return matches(pattern, topic) })
}

func (r *router) add(route *route) { r.routes = append(r.routes, route) }

func (r *router) remove(gone *route) {
	r.routes = slices.DeleteFunc(r.routes, func(other *route) bool { return other == gone })
}

// find gives the route whose subscribe, or whose unsubscribe, had the ref, or nil. An answer without a ref, which is 0,
// is for none.
func (r *router) find(ref uint64) *route {
	if ref == 0 {
		return nil
	}
	for _, route := range r.routes {
		if route.ref == ref || route.leave == ref {
			return route
		}
	}
	return nil
}

// having gives the route with a pattern, or nil. Where the pattern was asked for again already, that is not
// answered yet, and the older one has it.
func (r *router) having(pattern string) *route {
	for _, route := range r.routes {
		if slices.Contains(route.patterns, pattern) {
			return route
		}
	}
	return nil
}

// see is for the id of a frame that moves the cursor. It tells whether that is behind all that was seen.
func (r *router) see(p position) bool {
	if !p.above(r.highest) {
		return false
	}
	r.highest = p
	return true
}

// acknowledged is for the ack of a subscribe, whose patterns belong to no older request any more.
func (r *router) acknowledged(by *route, p position) {
	for _, older := range slices.Clone(r.routes) {
		if older == by {
			break
		}
		for _, pattern := range by.patterns {
			r.lose(older, pattern)
		}
	}
	r.see(p)
	by.at, by.stage = p, live
	if by.replays {
		by.stage = replaying
	}
}

// caughtUp is for the end of the replay that is under way. It gives its route, or nil.
func (r *router) caughtUp(p position) *route {
	r.see(p)
	route := r.underWay()
	if route != nil {
		route.stage = live
	}
	return route
}

func (r *router) has(route *route) bool { return slices.Contains(r.routes, route) }

// isWantedAnew tells whether a newer request is for one of a route's patterns, too.
func (r *router) isWantedAnew(older *route) bool {
	newer := r.routes[slices.Index(r.routes, older)+1:]
	return slices.ContainsFunc(newer, func(route *route) bool {
		return slices.ContainsFunc(route.patterns, func(pattern string) bool { return slices.Contains(older.patterns, pattern) })
	})
}

// lose is for a pattern that the server has taken from a route. One without patterns is over: a replay for
// nobody ends without a word.
func (r *router) lose(from *route, pattern string) {
	from.patterns = slices.DeleteFunc(slices.Clone(from.patterns), func(other string) bool { return other == pattern })
	if len(from.patterns) == 0 {
		r.remove(from)
	}
}

// underWay gives the route whose replay runs: of several, that is the oldest.
func (r *router) underWay() *route {
	for _, route := range r.routes {
		if route.stage == replaying {
			return route
		}
	}
	return nil
}

// recipients gives the routes that a message is for.
func (r *router) recipients(topic string, p position) (to []*route) {
	if r.see(p) {
		for _, route := range r.routes {
			if route.stage == live && route.matches(topic) {
				to = append(to, route)
			}
		}
		if len(to) > 0 {
			return to
		}
	}
	if route := r.underWay(); route != nil && route.matches(topic) {
		route.at = p
		return append(to, route)
	}
	return nil
}

// cursor gives where a route that was acknowledged is to go on.
func (r *router) cursor(of *route) position {
	if of.stage == live {
		return r.highest
	}
	return of.at
}
