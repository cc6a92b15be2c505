package broker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"fanfare/models"
)

// askWait is how long other nodes have to answer.
const askWait = 2 * time.Second

// subject is what a question is about.
type subject string

// The subjects. A node of another version may not know one: it gives no answer.
const (
	askClients        subject = "clients"         // answer: a part of ClientInfo
	askClient         subject = "client"          // answer: a part of ClientInfo, with one or none
	askTopics         subject = "topics"          // answer: a part of TopicInfo: those with subscribers
	askMembers        subject = "members"         // answer: a part of Member
	askDisconnect     subject = "disconnect"      // answer: a part of ClientInfo: whom it has disconnected
	askDisconnectUser subject = "disconnect_user" // answer: a tally
	askWatch          subject = "watch"           // answer: a sight
)

// question is what one node asks another, as JSON. Of the fields each subject has some.
type question struct {
	Ask subject `json:"ask"`
	ID  string  `json:"id,omitzero"`
	// User and After are what somebody has asked with, so that they may be no UTF-8.
	User    []byte           `json:"user,omitzero"`
	After   []byte           `json:"after,omitzero"`
	Limit   int              `json:"limit,omitzero"`
	Topic   models.Topic     `json:"topic,omitzero"`
	Pattern models.Pattern   `json:"pattern,omitzero"`
	Reason  models.CloseCode `json:"reason,omitzero"`
	Watch   watch            `json:"watch,omitzero"`
}

// tally is how many clients a node has disconnected.
type tally struct {
	Disconnected int `json:"disconnected"`
}

// maxAfter is a length beyond that of every name: who comes after a text comes after so much of
// it, too, and the other way round.
const maxAfter = models.MaxTopicBytes + 1

// about makes a question of a page.
func about(ask subject, page models.Page) question {
	return question{Ask: ask, After: []byte(page.After[:min(len(page.After), maxAfter)]), Limit: page.Limit}
}

func (q question) page() models.Page { return models.Page{After: string(q.After), Limit: q.Limit} }

// encode gives the JSON of what goes to another node.
func encode(v any) []byte {
	text, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("broker: a question or an answer that is no JSON: " + err.Error())
	}
	return text
}

// ask asks other nodes, and gives the answers by node, and the names of those that gave none, in
// their order.
func ask[A any](ctx context.Context, n *node, q question) (answers map[string]A, unreachable []string) {
	names := n.others()
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	answers = make(map[string]A, len(names))
	for name, text := range n.cluster.Ask(ctx, names, encode(q)) {
		var answer A
		if json.Unmarshal(text, &answer) == nil {
			answers[name] = answer
		}
	}
	for _, name := range names {
		if _, answered := answers[name]; !answered {
			unreachable = append(unreachable, name)
		}
	}
	return answers, unreachable
}

// gather asks the other nodes for their parts of a list, if there are any.
func gather[E any](ctx context.Context, n *node, q question) (parts []part[E], unreachable []string) {
	if n == nil {
		return nil, nil
	}
	answers, unreachable := ask[part[E]](ctx, n, q)
	return slices.Collect(maps.Values(answers)), unreachable
}

// search asks the other nodes about a client that is none of this one's. The first that knows it
// ends the search. CodeNotFound; CodeEngineUnavailable if a node that did not answer may have it.
func search(ctx context.Context, n *node, q question) (models.ClientInfo, error) {
	if id, err := uuid.Parse(q.ID); n == nil || err != nil || id.String() != q.ID {
		return models.ClientInfo{}, errNoClient()
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	names, text := n.others(), encode(q)
	type reply struct {
		node  string
		found *part[models.ClientInfo]
	}
	replies := make(chan reply, len(names))
	for _, name := range names {
		asking.Go(func() {
			r := reply{node: name}
			if json.Unmarshal(n.cluster.Ask(ctx, []string{name}, text)[name], &r.found) != nil {
				r.found = nil
			}
			replies <- r
		})
	}
	var unreachable []string
	for range names {
		switch r := <-replies; {
		case r.found == nil:
			unreachable = append(unreachable, r.node)
		case len(r.found.Entries) > 0:
			return r.found.Entries[0], nil
		}
	}
	if len(unreachable) > 0 {
		slices.Sort(unreachable)
		return models.ClientInfo{}, errUnreachable(unreachable)
	}
	return models.ClientInfo{}, errNoClient()
}

// errUnreachable answers who asks for what nobody has, while not all nodes answer.
func errUnreachable(nodes []string) error {
	return &models.Error{
		Code:       models.CodeEngineUnavailable,
		Message:    "some nodes did not answer, and no other has it: " + strings.Join(nodes, ", "),
		RetryAfter: time.Second,
	}
}
