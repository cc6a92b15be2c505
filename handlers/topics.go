package handlers

import (
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// listTopics answers GET /topics.
//
//	@Summary		List topics
//	@ID			listTopics
//	@Description	Every topic with a subscriber, on any node of a cluster, or a retained message, in the order of their names.
//	@Tags			topics
//	@Produce		json
//	@Param			pattern	query		string	false	"only topics that match"	example(news.*)
//	@Param			limit	query		int		false	"entries in the page"		minimum(1)	maximum(10000)	default(100)
//	@Param			after	query		string	false	"the last name seen"		example(news.eu)
//	@Success		200		{object}	models.TopicPage
//	@Failure		400		{object}	models.Problem	"invalid_topic, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Failure		503		{object}	models.Problem	"engine_unavailable"
//	@Security		Bearer
//	@Router			/topics [get]
func (a *api) listTopics(c *fiber.Ctx) error {
	page, err := pageParams(c)
	if err != nil {
		return err
	}
	filter := models.TopicFilter{Page: page}
	if text := c.Query("pattern"); text != "" {
		if filter.Pattern, err = models.ParsePattern(utils.CopyString(text)); err != nil {
			return err
		}
	}
	topics, err := a.PubSub.Topics(c.UserContext(), caller(c), filter)
	if err != nil {
		return err
	}
	return c.JSON(topics)
}

// getTopic answers GET /topics/{name}.
//
//	@Summary	Describe a topic
//	@ID		getTopic
//	@Tags		topics
//	@Produce	json
//	@Param		name	path		string	true	"the topic; as part of a URL it is percent-encoded"	example(news.eu)
//	@Success	200		{object}	models.TopicInfo
//	@Failure	400		{object}	models.Problem	"invalid_topic, invalid_request"
//	@Failure	401		{object}	models.Problem	"unauthorized"
//	@Failure	403		{object}	models.Problem	"forbidden"
//	@Failure	404		{object}	models.Problem	"not_found: no subscriber and no retained message"
//	@Failure	429		{object}	models.Problem	"rate_limited"
//	@Failure	503		{object}	models.Problem	"engine_unavailable: also if nodes of the cluster that do not answer may have a subscriber"
//	@Security	Bearer
//	@Router		/topics/{name} [get]
func (a *api) getTopic(c *fiber.Ctx) error {
	topic, err := topicParam(c)
	if err != nil {
		return err
	}
	info, err := a.PubSub.Topic(c.UserContext(), caller(c), topic)
	if err != nil {
		return err
	}
	return c.JSON(info)
}
