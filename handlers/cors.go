package handlers

import (
	"slices"

	"github.com/gofiber/fiber/v2"
)

// What pages of another origin may send and read, besides what any page may (Fetch
// Standard, "CORS protocol").
const (
	corsMethods        = "GET, HEAD, POST, PUT, DELETE"
	corsRequestHeaders = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, Tracestate"
	corsAnswerHeaders  = "Retry-After, X-Request-Id"
	corsMaxAge         = "7200" // seconds; Chromium remembers a preflight no longer
)

// cors lets pages of the allowed origins send any request and read the answer. It stands
// behind the guard. Fiber's own middleware is not used: it takes an empty list for all
// origins, knows no private networks, and answers to a request that could not be read,
// such as a 413, do not pass through it.
func (a *api) cors(c *fiber.Ctx) error {
	isAllowed := a.allowOrigin(c)
	isPreflight := c.Method() == fiber.MethodOptions && c.Get(fiber.HeaderAccessControlRequestMethod) != ""
	if !isAllowed || !isPreflight {
		return c.Next()
	}
	c.Set(fiber.HeaderAccessControlAllowMethods, corsMethods)
	c.Set(fiber.HeaderAccessControlAllowHeaders, corsRequestHeaders)
	c.Set(fiber.HeaderAccessControlMaxAge, corsMaxAge)
	// Some browsers ask this before a page of the Internet may reach this machine.
	if c.Get("Access-Control-Request-Private-Network") == "true" {
		c.Set("Access-Control-Allow-Private-Network", "true")
	}
	return c.SendStatus(fiber.StatusNoContent)
}

// allowOrigin lets the page read the answer if its origin is an allowed one, and says
// whether it is. Credentials are not allowed: there are no cookies.
func (a *api) allowOrigin(c *fiber.Ctx) bool {
	origin := c.Get(fiber.HeaderOrigin)
	if !slices.Contains(a.current.Load().AllowedOrigins, origin) {
		return false
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, origin)
	c.Set(fiber.HeaderAccessControlExposeHeaders, corsAnswerHeaders)
	c.Set(fiber.HeaderVary, fiber.HeaderOrigin)
	return true
}
