package handlers

import (
	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// listMembers answers GET /topics/{name}/clients.
//
//	@Summary		List the members of a topic
//	@ID			listMembers
//	@Description	The clients that are subscribed to this very topic, wildcards aside, on all nodes of a cluster, in the order of their ids.
//	@Tags			topics
//	@Produce		json
//	@Param			name	path		string	true	"the topic; as part of a URL it is percent-encoded"	example(room.1)
//	@Param			limit	query		int		false	"entries in the page"								minimum(1)	maximum(10000)	default(100)
//	@Param			after	query		string	false	"the last id seen"
//	@Success		200		{object}	models.MemberPage
//	@Failure		400		{object}	models.Problem	"invalid_topic, invalid_request"
//	@Failure		401		{object}	models.Problem	"unauthorized"
//	@Failure		403		{object}	models.Problem	"forbidden"
//	@Failure		429		{object}	models.Problem	"rate_limited"
//	@Security		Bearer
//	@Router			/topics/{name}/clients [get]
func (a *api) listMembers(c *fiber.Ctx) error {
	topic, err := topicParam(c)
	if err != nil {
		return err
	}
	if err := caller(c).MaySubscribe(models.Pattern(topic)); err != nil {
		return err
	}
	page, err := pageParams(c)
	if err != nil {
		return err
	}
	members, err := a.PubSub.Members(c.UserContext(), caller(c), topic, page)
	if err != nil {
		return err
	}
	return c.JSON(members)
}
