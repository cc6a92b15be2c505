package broker

import (
	"context"

	"fanfare/models"
)

// maxPageSubscriptions bounds the subscriptions in a page of clients: one that has so
// many ends before its limit.
const maxPageSubscriptions = 10_000

// Clients gives a page of the clients, in the order of their ids.
func (p *PubSub) Clients(_ context.Context, _ models.Caller, filter models.ClientFilter) (models.ClientPage, error) {
	page := models.ClientPage{Clients: []models.ClientInfo{}}
	subscriptions := 0
	p.clients.each(filter.After, "", func(_ string, c *Client) bool {
		if filter.User != "" && filter.User != c.Caller().User || filter.Topic != "" && !c.wants(filter.Topic) {
			return true
		}
		if n := len(page.Clients); n == filter.Limit || subscriptions >= maxPageSubscriptions {
			page.Next = page.Clients[n-1].ID
			return false
		}
		info := c.Info()
		subscriptions += len(info.Subscriptions)
		page.Clients = append(page.Clients, info)
		return true
	})
	return page, nil
}

// Client describes the client of an id. CodeNotFound if there is none.
func (p *PubSub) Client(_ context.Context, _ models.Caller, id string) (models.ClientInfo, error) {
	c, found := p.clients.get(id)
	if !found {
		return models.ClientInfo{}, errNoClient()
	}
	return c.Info(), nil
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
	topics := mergeTopics(retained, p.subscribedTopics(more), more.Limit)
	if len(topics) <= filter.Limit {
		return models.TopicPage{Topics: topics}, nil
	}
	topics = topics[:filter.Limit]
	return models.TopicPage{Topics: topics, Next: string(topics[filter.Limit-1].Name)}, nil
}

// Topic describes a topic. CodeNotFound if it has neither a subscriber nor a retained
// message, CodeEngineUnavailable.
func (p *PubSub) Topic(ctx context.Context, by models.Caller, topic models.Topic) (models.TopicInfo, error) {
	page, err := p.Topics(ctx, by, models.TopicFilter{
		Page:    models.Page{Limit: 1},
		Pattern: models.Pattern(topic),
	})
	if err != nil {
		return models.TopicInfo{}, err
	}
	if len(page.Topics) == 0 {
		return models.TopicInfo{}, models.Errorf(models.CodeNotFound,
			"nobody is subscribed to this topic and no message of it is retained")
	}
	return page.Topics[0], nil
}

// subscribedTopics gives the topics that somebody is subscribed to, as far as the
// broker knows them.
func (p *PubSub) subscribedTopics(filter models.TopicFilter) []models.TopicInfo {
	var topics []models.TopicInfo
	eachTopic(&p.dispatcher.interests.topics, filter, func(name models.Topic, i *interest) bool {
		if n := i.subscribers.Load(); n > 0 {
			topics = append(topics, models.TopicInfo{Name: name, Subscribers: int(n)})
		}
		return len(topics) < filter.Limit
	})
	return topics
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

// mergeTopics merges two lists that are ordered by name into one of at most limit.
func mergeTopics(retained, subscribed []models.TopicInfo, limit int) []models.TopicInfo {
	merged := make([]models.TopicInfo, 0, min(len(retained)+len(subscribed), limit))
	for len(merged) < limit && len(retained)+len(subscribed) > 0 {
		switch {
		case len(retained) == 0 || len(subscribed) > 0 && subscribed[0].Name < retained[0].Name:
			merged = append(merged, subscribed[0])
			subscribed = subscribed[1:]
		case len(subscribed) == 0 || retained[0].Name < subscribed[0].Name:
			merged = append(merged, retained[0])
			retained = retained[1:]
		default:
			both := retained[0]
			both.Subscribers = subscribed[0].Subscribers
			merged = append(merged, both)
			retained, subscribed = retained[1:], subscribed[1:]
		}
	}
	return merged
}
