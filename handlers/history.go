package handlers

import (
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// history answers GET /topics/{name}/messages.
//
//	@Summary		Read the history of a topic
//	@ID			readHistory
//	@Description	A page of the retained messages, the oldest first. "next" is the cursor to go on from: as "since" of the next page, of GET /events or of a subscribe. With "wait" this is a long poll: where there is nothing yet, the answer waits for something.
//	@Tags			topics
//	@Produce		json
//	@Param			name	path		string	true	"the topic, or a pattern; as part of a URL it is percent-encoded"	example(news.eu)
//	@Param			since	query		string	false	"the id after which to begin, or all; without it the page begins with the oldest message"
//	@Param			last	query		int		false	"begin with the last so many messages; not with since"		minimum(1)	maximum(10000)
//	@Param			limit	query		int		false	"messages in the page; a page of large ones ends before"	minimum(1)	maximum(10000)	default(100)
//	@Param			wait	query		string	false	"how long to wait for a message: seconds, or a duration such as 500ms; at most 60s"
//	@Param			format	query		string	false	"cloudevents: the messages are CloudEvents"	Enums(cloudevents)
//	@Success		200		{object}	models.HistoryPage	"the page, or with format a page of CloudEvents"
//	@Failure		400		{object}	models.Problem	"invalid_topic, invalid_cursor, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Failure		503		{object}	models.Problem	"engine_unavailable; of a long poll too_many_clients, shutting_down"
//	@Security		Bearer
//	@x-responses	{"200":{"content":{"application/json":{"schema":{"$ref":null,"anyOf":[{"$ref":"#/components/schemas/models.HistoryPage"},{"$ref":"#/components/schemas/CloudEventPage"}]}}}}}
//	@Router			/topics/{name}/messages [get]
func (a *api) history(c *fiber.Ctx) error {
	filter, err := historyParams(c)
	if err != nil {
		return err
	}
	wait, err := waitParam(c)
	if err != nil {
		return err
	}
	cloudEvents, err := formatParam(c)
	if err != nil {
		return err
	}
	if err := caller(c).MaySubscribe(filter.Pattern); err != nil {
		return err
	}
	var page models.HistoryPage
	if wait == 0 {
		page, err = a.PubSub.History(c.UserContext(), caller(c), filter)
	} else {
		page, err = a.PubSub.AwaitHistory(c.UserContext(), caller(c), filter, wait, connection(c, models.TransportPoll))
	}
	if err != nil {
		return err
	}
	if cloudEvents {
		return c.JSON(newCloudEventPage(page))
	}
	return c.JSON(page)
}

func historyParams(c *fiber.Ctx) (filter models.HistoryFilter, err error) {
	if filter.Pattern, err = patternParam(c); err != nil {
		return filter, err
	}
	if filter.Start, err = startParams(c); err != nil {
		return filter, err
	}
	filter.Limit, err = limitParam(c)
	if filter.Start.Last > 0 && c.Query("limit") == "" {
		filter.Limit = filter.Start.Last // or the page would have the older ones of them
	}
	return filter, err
}

// purge answers DELETE /topics/{name}/messages.
//
//	@Summary		Purge a topic
//	@ID			purgeTopic
//	@Description	Removes the retained messages of a topic. Whoever comes back from before is told that something is lost.
//	@Tags			topics
//	@Produce		json
//	@Param			name	path	string	true	"the topic; as part of a URL it is percent-encoded"	example(news.eu)
//	@Success		204		"nothing of before is retained"
//	@Failure		400		{object}	models.Problem	"invalid_topic, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Failure		503		{object}	models.Problem	"shutting_down, engine_unavailable"
//	@Security		Bearer
//	@Router			/topics/{name}/messages [delete]
func (a *api) purge(c *fiber.Ctx) error {
	topic, err := topicParam(c)
	if err != nil {
		return err
	}
	if err := a.PubSub.Purge(c.UserContext(), caller(c), topic); err != nil {
		return err
	}
	a.auditRequest(c, "purge_topic", "topic", topic)
	return c.SendStatus(fiber.StatusNoContent)
}
