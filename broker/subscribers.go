package broker

import "fanfare/models"

// subscribers has subscriptions of a shard's clients, by pattern. The shard owns it.
type subscribers struct {
	patterns *patternMap[*subscriberList]
	count    int

	// What match works with, kept from call to call.
	lists  []*subscriberList
	chosen []*subscription
	// before counts the clients that were chosen in earlier calls.
	before uint64
}

// subscriberList has a pattern's subscriptions, in no order.
type subscriberList struct{ all []*subscription }

func newSubscribers() *subscribers {
	// Clients begin with 0, which is before all places.
	return &subscribers{patterns: newPatternMap[*subscriberList](), before: 1}
}

// add enters subscriptions, which must not be there.
func (s *subscribers) add(subscriptions []*subscription) {
	for _, sub := range subscriptions {
		list, found := s.patterns.get(sub.pattern)
		if !found {
			list = &subscriberList{}
			s.patterns.set(sub.pattern, list)
		}
		sub.at = int32(len(list.all)) //nolint:gosec // that many do not fit into memory
		list.all = append(list.all, sub)
	}
	s.count += len(subscriptions)
}

// remove takes out a subscription, which must be there.
func (s *subscribers) remove(sub *subscription) {
	list, _ := s.patterns.get(sub.pattern)
	last := len(list.all) - 1
	list.all[sub.at] = list.all[last]
	list.all[sub.at].at = sub.at
	list.all[last] = nil
	if list.all = list.all[:last]; last == 0 {
		s.patterns.delete(sub.pattern)
	}
	sub.at = -1
	s.count--
}

// match gives, for each client that wants the topic's messages, the subscription on
// whose account it gets them: that of the strongest kind, and of those the first that
// the matching comes to. The slice is good until the next call of any method.
func (s *subscribers) match(t models.Topic) []*subscription {
	clear(s.chosen)
	s.lists = s.lists[:0]
	s.patterns.match(t, func(list *subscriberList) { s.lists = append(s.lists, list) })
	if len(s.lists) == 1 {
		return s.lists[0].all // a client has a pattern once
	}
	chosen, before := s.chosen[:0], s.before
	for _, list := range s.lists {
		for _, sub := range list.all {
			// A place that the client had in an earlier call is beyond all of this one.
			place := sub.client.place - before
			if place >= uint64(len(chosen)) {
				sub.client.place = before + uint64(len(chosen))
				chosen = append(chosen, sub)
			} else if sub.kind > chosen[place].kind {
				chosen[place] = sub
			}
		}
	}
	s.chosen, s.before = chosen, before+uint64(len(chosen))
	return chosen
}

// eachMatch visits every subscription that wants the topic's messages, in no order.
func (s *subscribers) eachMatch(t models.Topic, visit func(*subscription)) {
	s.patterns.match(t, func(list *subscriberList) {
		for _, sub := range list.all {
			visit(sub)
		}
	})
}

// each visits every subscription, in no order.
func (s *subscribers) each(visit func(*subscription)) {
	s.patterns.each(func(list *subscriberList) {
		for _, sub := range list.all {
			visit(sub)
		}
	})
}
