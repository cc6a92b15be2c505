package handlers

import (
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// topicParam gives the topic in the path, which Fiber leaves percent-encoded (RFC 3986,
// section 2.1).
func topicParam(c *fiber.Ctx) (models.Topic, error) {
	text, err := url.PathUnescape(utils.CopyString(c.Params("name")))
	if err != nil {
		return "", models.Errorf(models.CodeInvalidTopic, "the topic in the path is not percent-encoded correctly")
	}
	return models.ParseTopic(text)
}

// pageParams gives the stretch of a list that limit and after ask for.
func pageParams(c *fiber.Ctx) (models.Page, error) {
	page := models.Page{After: utils.CopyString(c.Query("after")), Limit: models.DefaultPageLimit}
	if text := c.Query("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > models.MaxPageLimit {
			return page, models.Errorf(models.CodeInvalidRequest, "limit is a number from 1 to %d", models.MaxPageLimit)
		}
		page.Limit = limit
	}
	return page, nil
}
