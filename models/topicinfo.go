package models

// TopicInfo describes a topic at one moment: one with a subscriber or a retained message.
type TopicInfo struct {
	Name Topic `json:"name" swaggertype:"string" example:"news.eu"`
	// Subscribers counts the subscriptions to this very topic, wildcards aside.
	Subscribers int `json:"subscribers" example:"2"`
	// Messages counts the retained ones.
	Messages int `json:"messages" example:"12"`
	// LastID and LastTime are those of the newest retained message, absent without one.
	LastID   ID        `json:"last_id,omitzero" swaggertype:"string" example:"4kq9zt2m-1042"`
	LastTime Timestamp `json:"last_time,omitzero" swaggertype:"string" format:"date-time" example:"2026-11-23T17:45:01.250Z"`
	// Unreachable names the nodes of the cluster that did not answer: their subscribers are not
	// counted. Absent if all did, and in lists, which have their own.
	Unreachable []string `json:"unreachable,omitzero" example:"fanfare-2-k4m9"`
}

// TopicFilter chooses a page of topics, in the order of their names.
type TopicFilter struct {
	Page
	// Pattern keeps the topics that match it, unless empty.
	Pattern Pattern
}

// TopicPage is a page of topics.
type TopicPage struct {
	Topics []TopicInfo `json:"topics"`
	// Next is where the next page begins, for the parameter after; absent on the last.
	Next string `json:"next,omitzero" example:"news.eu"`
	// Unreachable names the nodes of the cluster that did not answer: what is theirs is
	// missing. Absent if all did.
	Unreachable []string `json:"unreachable,omitzero" example:"fanfare-2-k4m9"`
}
