package handlers

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/models"
)

// nameParam gives the name in the path, which Fiber leaves percent-encoded (RFC 3986,
// section 2.1).
func nameParam(c *fiber.Ctx) (string, error) {
	name, err := url.PathUnescape(utils.CopyString(c.Params("name")))
	if err != nil {
		return "", models.Errorf(models.CodeInvalidTopic, "the topic in the path is not percent-encoded correctly")
	}
	return name, nil
}

// topicParam gives the topic in the path.
func topicParam(c *fiber.Ctx) (models.Topic, error) {
	name, err := nameParam(c)
	if err != nil {
		return "", err
	}
	return models.ParseTopic(name)
}

// patternParam gives the pattern in the path.
func patternParam(c *fiber.Ctx) (models.Pattern, error) {
	name, err := nameParam(c)
	if err != nil {
		return "", err
	}
	return models.ParsePattern(name)
}

// pageParams gives the stretch of a list that limit and after ask for.
func pageParams(c *fiber.Ctx) (models.Page, error) {
	limit, err := limitParam(c)
	return models.Page{After: utils.CopyString(c.Query("after")), Limit: limit}, err
}

// limitParam gives how many entries a page may have.
func limitParam(c *fiber.Ctx) (int, error) {
	text := c.Query("limit")
	if text == "" {
		return models.DefaultPageLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > models.MaxPageLimit {
		return 0, models.Errorf(models.CodeInvalidRequest, "limit is a number from 1 to %d", models.MaxPageLimit)
	}
	return limit, nil
}

// startParams gives where in the log since or last ask to begin.
func startParams(c *fiber.Ctx) (models.Start, error) {
	since := utils.CopyString(c.Query("since"))
	text := c.Query("last")
	if text == "" {
		return models.ParseStart(since, nil)
	}
	last, err := strconv.Atoi(text)
	if err != nil {
		last = 0 // which is none, either
	}
	return models.ParseStart(since, &last)
}

// maxWait bounds how long a request waits for something to happen.
const maxWait = time.Minute

// waitParam gives how long the request may wait: seconds, or a duration with its unit.
func waitParam(c *fiber.Ctx) (time.Duration, error) {
	text := c.Query("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if seconds, notSeconds := strconv.ParseUint(text, 10, 16); notSeconds == nil {
		wait, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || wait < 0 || wait > maxWait {
		return 0, models.Errorf(models.CodeInvalidRequest, "wait is a number of seconds or a duration, at most %.0fs", maxWait.Seconds())
	}
	return wait, nil
}

// connection is what is known of a client that comes with this request.
func connection(c *fiber.Ctx, transport models.Transport) models.Connection {
	return models.Connection{
		Transport:     transport,
		RemoteAddress: caller(c).Address,
		UserAgent:     strings.ToValidUTF8(utils.CopyString(c.Get(fiber.HeaderUserAgent)), "\uFFFD"),
	}
}
