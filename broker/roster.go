package broker

import (
	"strings"

	"github.com/google/uuid"

	"fanfare/models"
)

// roster is the members on several nodes: what each has of them.
type roster []*members

// page gives a page of the members of a topic.
func (r roster) page(topic models.Topic, page models.Page) part[models.Member] {
	all := pageOfMembers(r[0], topic, page)
	for _, members := range r[1:] {
		all = merge(all, pageOfMembers(members, topic, page), page.Limit, memberName, either)
	}
	return all
}

// eachTopic visits the topics that match the pattern and have members, until visit is false.
func (r roster) eachTopic(pattern models.Pattern, visit func(models.Topic) bool) {
	prefix := pattern.Prefix()
	for at := (membership{models.Topic(prefix), &identity{}}); ; {
		var next models.Topic
		for _, members := range r {
			members.Ascend(at, func(m membership) bool {
				if next == "" || m.topic < next {
					next = m.topic
				}
				return false
			})
		}
		if next == "" || !strings.HasPrefix(string(next), prefix) || pattern.Matches(next) && !visit(next) {
			return
		}
		at = membership{next, &identity{id: uuid.Max}} // no client's id is after it
	}
}

func pageOfMembers(members *members, topic models.Topic, page models.Page) part[models.Member] {
	of := part[models.Member]{Entries: []models.Member{}}
	// An after that is no client's id is before all of them, or after them, as it compares.
	members.Ascend(membership{topic, &identity{id: idFrom(page.After)}}, func(m membership) bool {
		member := m.client.member()
		switch n := len(of.Entries); {
		case m.topic != topic:
			return false
		case member.ClientID <= page.After:
			return true
		case n == page.Limit:
			of.Next = of.Entries[n-1].ClientID
			return false
		}
		of.Entries = append(of.Entries, member)
		return true
	})
	return of
}

// idFrom gives the UUID of a text, or the one before all others.
func idFrom(text string) uuid.UUID {
	id, _ := uuid.Parse(text)
	return id
}
