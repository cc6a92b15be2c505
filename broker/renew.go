package broker

import (
	"context"
	"time"

	"fanfare/models"
)

// Renew has a client act for another caller from here on, or for as long as another token
// says. What that may not subscribe to ends: a notice says so, before the ack. It returns when
// the client's shard has queued the ack. CodeNotFound if the client is gone.
func (p *PubSub) Renew(ctx context.Context, by models.Caller, c *Client, ack models.Ack) error {
	p.dispatcher.presence.rename(c, by, p.shards)
	if !p.expire(c, by) {
		return errGone()
	}
	var ended []models.Pattern
	for _, pattern := range c.patterns() {
		if by.MaySubscribe(pattern) != nil {
			ended = append(ended, pattern)
		}
	}
	applied := make(chan struct{})
	if len(ended) == 0 {
		c.shard.queue.push(event{apply: func(s *shard) {
			s.send(c, ack)
			close(applied)
		}})
		return wait(ctx, applied)
	}
	err := p.dispatcher.unsubscribe(c, ended, func(s *shard, removed []*subscription, _ models.ID) {
		s.unlist(c, removed)
		for _, sub := range removed {
			s.send(c, models.NewForbiddenNotice(sub.pattern))
		}
		s.send(c, ack)
		close(applied)
	})
	if err != nil {
		return err
	}
	return wait(ctx, applied)
}

// expire has a client closed when its caller's time is up. It is false if the client is gone.
func (p *PubSub) expire(c *Client, by models.Caller) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if by.Expires.IsZero() || c.leaving {
		return !c.leaving
	}
	reason := models.CloseTokenExpired
	if by.User == "" {
		reason = models.CloseUnauthorized
	}
	c.expiry = time.AfterFunc(time.Until(by.Expires), func() { p.disconnect(c, reason) })
	return true
}
