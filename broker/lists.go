package broker

import (
	"context"

	"fanfare/models"
)

// maxPageSubscriptions bounds the subscriptions in a page of clients: one that has so
// many ends before its limit.
const maxPageSubscriptions = 10_000

// Clients gives a page of the clients, in the order of their ids.
func (p *PubSub) Clients(ctx context.Context, _ models.Caller, filter models.ClientFilter) (models.ClientPage, error) {
	q := about(askClients, filter.Page)
	q.Topic, q.User = filter.Topic, []byte(filter.User)
	others, unreachable := gather[models.ClientInfo](ctx, p.node, q)
	all := cutClients(mergeAll(p.ownClients(filter), others, filter.Limit, clientName, either))
	return models.ClientPage{Clients: all.Entries, Next: all.Next, Unreachable: unreachable}, nil
}

// ownClients gives those of this node.
func (p *PubSub) ownClients(filter models.ClientFilter) part[models.ClientInfo] {
	own := part[models.ClientInfo]{Entries: []models.ClientInfo{}}
	subscriptions := 0
	p.clients.each(filter.After, "", func(_ string, c *Client) bool {
		if filter.User != "" && filter.User != c.Caller().User || filter.Topic != "" && !c.wants(filter.Topic) {
			return true
		}
		if n := len(own.Entries); n == filter.Limit || subscriptions >= maxPageSubscriptions {
			own.Next = own.Entries[n-1].ID
			return false
		}
		info := p.describe(c)
		subscriptions += len(info.Subscriptions)
		own.Entries = append(own.Entries, info)
		return true
	})
	return own
}

// Client describes the client of an id. CodeNotFound if there is none; in a cluster
// CodeEngineUnavailable if a node that does not answer may have it.
func (p *PubSub) Client(ctx context.Context, _ models.Caller, id string) (models.ClientInfo, error) {
	if c, found := p.clients.get(id); found {
		return p.describe(c), nil
	}
	return search(ctx, p.node, question{Ask: askClient, ID: id})
}

// describe is Info, with the name of the node.
func (p *PubSub) describe(c *Client) models.ClientInfo {
	info := c.Info()
	if p.node != nil {
		info.Node = p.node.cluster.Node()
	}
	return info
}

// Topics gives a page of the topics with a subscriber or a retained message, in the
// order of their names. CodeEngineUnavailable.
func (p *PubSub) Topics(ctx context.Context, _ models.Caller, filter models.TopicFilter) (models.TopicPage, error) {
	// One more than asked for tells whether there is another page.
	more := filter
	more.Limit++
	retained, err := p.engine.Topics(ctx, more)
	if err != nil {
		return models.TopicPage{}, err
	}
	q := about(askTopics, filter.Page)
	q.Pattern = filter.Pattern
	others, unreachable := gather[models.TopicInfo](ctx, p.node, q)
	others = append(others, newPart(retained, filter.Limit, topicName))
	all := mergeAll(p.subscribedTopics(filter), others, filter.Limit, topicName, joinTopics)
	return models.TopicPage{Topics: all.Entries, Next: all.Next, Unreachable: unreachable}, nil
}

// Topic describes a topic. CodeNotFound if it has neither a subscriber nor a retained
// message; CodeEngineUnavailable, in a cluster also if a node that does not answer may have a
// subscriber.
func (p *PubSub) Topic(ctx context.Context, by models.Caller, topic models.Topic) (models.TopicInfo, error) {
	page, err := p.Topics(ctx, by, models.TopicFilter{
		Page:    models.Page{Limit: 1},
		Pattern: models.Pattern(topic),
	})
	switch {
	case err != nil:
		return models.TopicInfo{}, err
	case len(page.Topics) > 0:
		info := page.Topics[0]
		info.Unreachable = page.Unreachable
		return info, nil
	case len(page.Unreachable) > 0:
		return models.TopicInfo{}, errUnreachable(page.Unreachable)
	default:
		return models.TopicInfo{}, models.Errorf(models.CodeNotFound,
			"nobody is subscribed to this topic and no message of it is retained")
	}
}

// subscribedTopics gives the topics that somebody is subscribed to, as far as the
// broker knows them.
func (p *PubSub) subscribedTopics(filter models.TopicFilter) part[models.TopicInfo] {
	topics := []models.TopicInfo{}
	eachTopic(&p.dispatcher.interests.topics, filter, func(name models.Topic, i *interest) bool {
		if n := i.subscribers.Load(); n > 0 {
			topics = append(topics, models.TopicInfo{Name: name, Subscribers: int(n)})
		}
		return len(topics) <= filter.Limit
	})
	return newPart(topics, filter.Limit, topicName)
}

// eachTopic visits the entries of a directory of topics that the filter lets through,
// until visit is false.
func eachTopic[V any](d *directory[V], filter models.TopicFilter, visit func(name models.Topic, value V) bool) {
	if filter.Pattern != "" && !filter.Pattern.HasWildcard() {
		name := string(filter.Pattern)
		if value, found := d.get(name); found && name > filter.After {
			visit(models.Topic(name), value)
		}
		return
	}
	d.each(filter.After, filter.Pattern.Prefix(), func(name string, value V) bool {
		if filter.Pattern != "" && !filter.Pattern.Matches(models.Topic(name)) {
			return true
		}
		return visit(models.Topic(name), value)
	})
}
