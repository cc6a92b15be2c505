package broker

import "fanfare/models"

// part is what one source has of a page of an ordered list: a node, or the log.
type part[E any] struct {
	Entries []E `json:"entries"`
	// Next is the name of the last entry if the source has more behind it, else empty.
	Next string `json:"next,omitzero"`
}

// newPart makes a part of at most limit entries. One more than that in entries means that there
// are more.
func newPart[E any](entries []E, limit int, name func(E) string) part[E] {
	if len(entries) <= limit {
		return part[E]{Entries: entries}
	}
	return part[E]{Entries: entries[:limit], Next: name(entries[limit-1])}
}

// merge makes one part of two: at most limit entries, in the order of their names. Two that have
// the same name become one with join. Nothing is in it that lies beyond the end of one that has
// more: what that still has might come before.
func merge[E any](a, b part[E], limit int, name func(E) string, join func(a, b E) E) part[E] {
	end := a.Next
	if end == "" || b.Next != "" && b.Next < end {
		end = b.Next
	}
	merged := part[E]{Entries: make([]E, 0, min(len(a.Entries)+len(b.Entries), limit))}
	left, right := a.Entries, b.Entries
	last := ""
	for len(merged.Entries) < limit && len(left)+len(right) > 0 {
		var next E
		switch {
		case len(right) == 0 || len(left) > 0 && name(left[0]) < name(right[0]):
			next, left = left[0], left[1:]
		case len(left) == 0 || name(right[0]) < name(left[0]):
			next, right = right[0], right[1:]
		default:
			next = join(left[0], right[0])
			left, right = left[1:], right[1:]
		}
		if end != "" && name(next) > end {
			break
		}
		merged.Entries, last = append(merged.Entries, next), name(next)
	}
	if end != "" || len(left)+len(right) > 0 {
		merged.Next = last
	}
	return merged
}

// mergeAll merges parts into one.
func mergeAll[E any](own part[E], others []part[E], limit int, name func(E) string, join func(a, b E) E) part[E] {
	for _, other := range others {
		own = merge(own, other, limit, name, join)
	}
	return own
}

// either is the join of entries that are the same.
func either[E any](a, _ E) E { return a }

func clientName(c models.ClientInfo) string { return c.ID }

func memberName(m models.Member) string { return m.ClientID }

func topicName(t models.TopicInfo) string { return string(t.Name) }

// joinTopics gives what two sources know of a topic. The log alone knows of messages.
func joinTopics(a, b models.TopicInfo) models.TopicInfo {
	if a.Messages == 0 {
		a, b = b, a
	}
	a.Subscribers += b.Subscribers
	return a
}

// cutClients ends a part where it has more than maxPageSubscriptions, behind the client with which
// it reaches them.
func cutClients(p part[models.ClientInfo]) part[models.ClientInfo] {
	subscriptions := 0
	for i, c := range p.Entries {
		if subscriptions >= maxPageSubscriptions {
			return part[models.ClientInfo]{Entries: p.Entries[:i], Next: p.Entries[i-1].ID}
		}
		subscriptions += len(c.Subscriptions)
	}
	return p
}
