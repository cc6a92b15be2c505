package broker

import (
	"slices"

	"fanfare/models"
)

// errGone answers whoever acts for a client that has left.
func errGone() error {
	return models.Errorf(models.CodeNotFound, "the client is gone")
}

// addSubscriptions adds those of the patterns that the client does not have yet, or
// none of them if that were more than limit.
func (c *Client) addSubscriptions(patterns []models.Pattern, limit int) ([]*subscription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving {
		return nil, errGone()
	}
	var added []*subscription
	for _, p := range distinct(patterns) {
		if c.subscriptions[p] == nil {
			added = append(added, &subscription{client: c, pattern: p})
		}
	}
	if len(c.subscriptions)+len(added) > limit {
		return nil, models.Errorf(models.CodeTooManySubscriptions, "a client has at most %d subscriptions", limit)
	}
	if c.subscriptions == nil {
		c.subscriptions = make(map[models.Pattern]*subscription, len(added))
	}
	for _, sub := range added {
		c.subscriptions[sub.pattern] = sub
	}
	return added, nil
}

// removeSubscriptions removes the subscriptions to the patterns, or none of them if
// the client does not have one.
func (c *Client) removeSubscriptions(patterns []models.Pattern) ([]*subscription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving {
		return nil, errGone()
	}
	var removed []*subscription
	for _, p := range distinct(patterns) {
		sub := c.subscriptions[p]
		if sub == nil {
			return nil, models.Errorf(models.CodeNotFound, "there is no subscription to %s", p)
		}
		removed = append(removed, sub)
	}
	for _, sub := range removed {
		delete(c.subscriptions, sub.pattern)
	}
	return removed, nil
}

// leave gives up all subscriptions. No others can be made after it.
func (c *Client) leave() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	removed := make([]*subscription, 0, len(c.subscriptions))
	for _, sub := range c.subscriptions {
		removed = append(removed, sub)
	}
	c.subscriptions, c.leaving = nil, true
	return removed
}

func distinct(patterns []models.Pattern) []models.Pattern {
	if len(patterns) < 2 {
		return patterns
	}
	sorted := slices.Sorted(slices.Values(patterns))
	return slices.Compact(sorted)
}
