package broker

import (
	"context"

	"fanfare/models"
)

// Disconnect closes the client of an id. CodeNotFound if there is none; in a cluster
// CodeEngineUnavailable if a node that does not answer may have it.
func (p *PubSub) Disconnect(ctx context.Context, _ models.Caller, id string, reason models.CloseCode) error {
	if c, found := p.clients.get(id); found {
		p.disconnect(c, reason)
		return nil
	}
	_, err := search(ctx, p.node, question{Ask: askDisconnect, ID: id, Reason: reason})
	return err
}

// DisconnectUser closes all clients of a user and counts them. The empty name is that of
// strangers. In a cluster it names the nodes that did not answer: theirs may not be closed.
func (p *PubSub) DisconnectUser(
	ctx context.Context, _ models.Caller, user string, reason models.CloseCode,
) (count int, unreachable []string) {
	count = p.disconnectUser(user, reason)
	if p.node == nil {
		return count, nil
	}
	tallies, unreachable := ask[tally](ctx, p.node, question{Ask: askDisconnectUser, User: []byte(user), Reason: reason})
	for _, t := range tallies {
		count += t.Disconnected
	}
	return count, unreachable
}

// disconnectUser is DisconnectUser on this node.
func (p *PubSub) disconnectUser(user string, reason models.CloseCode) int {
	return p.DisconnectWhere(func(by models.Caller) bool { return by.User == user }, reason)
}

// DisconnectWhere closes those clients of this node whose callers it is to be, and counts them.
func (p *PubSub) DisconnectWhere(isToBe func(models.Caller) bool, reason models.CloseCode) (count int) {
	p.clients.each("", "", func(_ string, c *Client) bool {
		if isToBe(c.Caller()) {
			p.disconnect(c, reason)
			count++
		}
		return true
	})
	return count
}

// disconnect queues the close of a client, once: the first reason counts.
func (p *PubSub) disconnect(c *Client, reason models.CloseCode) {
	if c.disconnecting.Swap(true) {
		return
	}
	c.shard.queue.push(event{apply: func(s *shard) {
		if reason == models.CloseUnauthorized {
			s.send(c, models.NewErrorFrame(models.ErrUnauthorized(), nil))
		}
		s.close(c, reason)
	}})
}

func errNoClient() error {
	return models.Errorf(models.CodeNotFound, "no client has this id")
}
