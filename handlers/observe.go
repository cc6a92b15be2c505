package handlers

import (
	"crypto/rand"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

// requestIDKey is where a request's id is kept while it is handled.
const requestIDKey = "request_id"

// requestIDs numbers requests; the prefix differs from process to process.
type requestIDs struct {
	prefix string
	last   atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{prefix: strings.ToLower(rand.Text()[:8]) + "-"}
}

func (r *requestIDs) next() string {
	return r.prefix + strconv.FormatUint(r.last.Add(1), 10)
}

// requestID is the id of the request, empty for one that could not be read.
func requestID(c *fiber.Ctx) string {
	id, _ := c.Locals(requestIDKey).(string)
	return id
}

// observe gives the request an id, which the answer's X-Request-Id carries, counts the answer,
// and logs the request at debug.
func (a *api) observe(c *fiber.Ctx) error {
	id := a.requestIDs.next()
	c.Locals(requestIDKey, id)
	c.Set(fiber.HeaderXRequestID, id)
	protect(c)
	isLogged := a.Logger.Enabled(c.UserContext(), slog.LevelDebug)
	var begin time.Time
	if isLogged {
		begin = time.Now()
	}
	err := c.Next()
	status := c.Response().StatusCode()
	if err != nil {
		status = statusOf(translate(err).Code)
	}
	a.counters.countAnswer(c, status)
	if !isLogged {
		return err
	}
	a.Logger.Debug("request_handled",
		"method", c.Method(), "path", c.Path(), "status", status,
		"duration", time.Since(begin), "request_id", id, "caller", caller(c))
	return err
}

// protect sets the headers that every answer has: a browser takes it for what it says it
// is, gives it to no page of another origin that did not ask by CORS, and keeps no copy.
func protect(c *fiber.Ctx) {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCrossOriginResourcePolicy, "same-origin")
	c.Set(fiber.HeaderCacheControl, "no-store")
}
