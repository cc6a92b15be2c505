package handlers

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"fanfare/models"
)

// drainRefused reads on before the answer to a request that fasthttp refuses: after it
// the connection is closed. Who took too long has had its time. The answer has its own:
// fasthttp leaves it what remains of that of the answer before, which may be nothing.
// Without a TLS handshake there is neither a request nor a way to answer.
func (a *api) drainRefused(app *fiber.App) {
	answer := app.Server().ErrorHandler
	app.Server().ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) {
		if state := ctx.TLSConnectionState(); state != nil && !state.HandshakeComplete {
			a.Logger.Debug("tls_handshake_failed", "error", err, "remote_address", ctx.RemoteAddr())
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			_ = ctx.Conn().SetReadDeadline(time.Now().Add(drainPause))
			drain(ctx.Conn(), ctx.Conn())
		}
		_ = ctx.Conn().SetWriteDeadline(time.Now().Add(a.WriteTimeout))
		answer(ctx, err)
	}
}

// limitBodies bounds the time of what follows a request's header. Until then it is fasthttp's
// ReadTimeout that counts, from connecting or from the first byte of a later request.
func limitBodies(app *fiber.App, timeout time.Duration) {
	app.Server().HeaderReceived = func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
		return fasthttp.RequestConfig{ReadTimeout: timeout}
	}
}

// refuseBody refuses a body on a route that takes the connection over: the rest of it would be taken
// for what the client says next.
func refuseBody(c *fiber.Ctx) error {
	if size := c.Request().Header.ContentLength(); size > 0 || size == -1 {
		return models.Errorf(models.CodeInvalidRequest, "this route takes no body")
	}
	return c.Next()
}

// refuseUnclear refuses what fasthttp lets pass although it can be read in two ways.
func refuseUnclear(c *fiber.Ctx) error {
	if hasTwoLengths(&c.Request().Header) {
		return models.Errorf(models.CodeInvalidRequest, "a body is chunked or has a Content-Length, not both")
	}
	if _, err := url.QueryUnescape(string(c.Request().URI().QueryString())); err != nil {
		return models.Errorf(models.CodeInvalidRequest, "the query is not percent-encoded correctly")
	}
	return c.Next()
}

// hasTwoLengths tells whether a chunked request also has a Content-Length (RFC 9112, section 6.3),
// which fasthttp keeps only in the header as it came.
func hasTwoLengths(header *fasthttp.RequestHeader) bool {
	if header.ContentLength() != -1 {
		return false
	}
	for line := range bytes.Lines(header.RawHeaders()) {
		if name, _, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte(fiber.HeaderContentLength)) {
			return true
		}
	}
	return false
}

// refuseUnknownMethods treats a method that Fiber does not know like one that no route
// has: by itself Fiber answers it past the guard and the error handler.
func refuseUnknownMethods(app *fiber.App) {
	handle := app.Server().Handler
	app.Server().Handler = func(ctx *fasthttp.RequestCtx) {
		if !slices.Contains(fiber.DefaultMethods, string(ctx.Method())) {
			ctx.Request.Header.SetMethod(fiber.MethodTrace)
		}
		handle(ctx)
	}
}
