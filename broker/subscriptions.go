package broker

import (
	"cmp"
	"slices"

	"fanfare/models"
)

// errGone answers whoever acts for a client that has left.
func errGone() error {
	return models.Errorf(models.CodeNotFound, "the client is gone")
}

// addSubscriptionsLocked adds those of the patterns, which are distinct, that the client
// does not have yet, or none of them if that were more than limit. It gives the
// subscriptions to all of the patterns, and those it added.
func (c *Client) addSubscriptionsLocked(patterns []models.Pattern, limit int) (all, added []*subscription, err error) {
	if c.leaving {
		return nil, nil, errGone()
	}
	for _, p := range patterns {
		at, found := c.findLocked(p)
		if found {
			all = append(all, c.subscriptions[at])
			continue
		}
		sub := &subscription{client: c, pattern: p, at: -1}
		all, added = append(all, sub), append(added, sub)
	}
	if len(c.subscriptions)+len(added) > limit {
		return nil, nil, errTooManySubscriptions(limit)
	}
	c.subscriptions = append(c.subscriptions, added...)
	slices.SortFunc(c.subscriptions, func(a, b *subscription) int { return cmp.Compare(a.pattern, b.pattern) })
	return all, added, nil
}

// removeSubscriptionsLocked removes the subscriptions to the patterns, which are
// distinct, or none of them if the client does not have one.
func (c *Client) removeSubscriptionsLocked(patterns []models.Pattern) ([]*subscription, error) {
	if c.leaving {
		return nil, errGone()
	}
	var removed []*subscription
	for _, p := range patterns {
		at, found := c.findLocked(p)
		if !found {
			return nil, models.Errorf(models.CodeNotFound, "there is no subscription to %s", p)
		}
		removed = append(removed, c.subscriptions[at])
	}
	for _, sub := range removed {
		at, _ := c.findLocked(sub.pattern)
		c.subscriptions = slices.Delete(c.subscriptions, at, at+1)
	}
	return removed, nil
}

// leaveLocked gives up all subscriptions. No others can be made after it, and the client
// expires no more.
func (c *Client) leaveLocked() []*subscription {
	removed := c.subscriptions
	c.subscriptions, c.leaving = nil, true
	if c.expiry != nil {
		c.expiry.Stop()
	}
	return removed
}

// findLocked gives the place of the pattern's subscription among the client's.
func (c *Client) findLocked(p models.Pattern) (at int, found bool) {
	return slices.BinarySearchFunc(c.subscriptions, p, func(sub *subscription, p models.Pattern) int {
		return cmp.Compare(sub.pattern, p)
	})
}

// distinct gives the patterns in their order, each once.
func distinct(patterns []models.Pattern) []models.Pattern {
	if len(patterns) < 2 {
		return patterns
	}
	seen := make(map[models.Pattern]struct{}, len(patterns))
	once := make([]models.Pattern, 0, len(patterns))
	for _, p := range patterns {
		if _, found := seen[p]; !found {
			seen[p] = struct{}{}
			once = append(once, p)
		}
	}
	return once
}

func errTooManySubscriptions(limit int) error {
	return models.Errorf(models.CodeTooManySubscriptions, "a client has at most %d subscriptions", limit)
}
