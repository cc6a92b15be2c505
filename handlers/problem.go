package handlers

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

const problemType = "application/problem+json"

// fail answers with what went wrong: RFC 9457. The details of an error that is not for
// the caller go into the log.
func (a *api) fail(c *fiber.Ctx, err error) error {
	e := translate(err)
	if requestID(c) == "" {
		// It could not be read to its end, so that the routes have not seen it.
		protect(c)
		a.allowOrigin(c)
		a.counters.count(answer{status: statusOf(e.Code)})
	}
	a.counters.countRefusal(e.Code)
	if e.Code == models.CodeInternal {
		a.Logger.Error("request_failed", "error", err, "request_id", requestID(c))
	}
	if isRefusal(e.Code) {
		a.auditRefusal(c, e)
	}
	return answerProblem(c, e)
}

func answerProblem(c *fiber.Ctx, e *models.Error) error {
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(seconds)))
	}
	if e.Code == models.CodeUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer") // RFC 6750, section 3
	}
	problem := newProblem(e)
	problem.RequestID = requestID(c)
	err := c.Status(problem.Status).JSON(problem)
	c.Set(fiber.HeaderContentType, problemType)
	return err
}

func newProblem(e *models.Error) models.Problem {
	status := statusOf(e.Code)
	return models.Problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Detail: e.Message,
		Code:   e.Code,
	}
}

// translate gives the error that the caller may see. Errors of Fiber and fasthttp may
// quote the request, so that only their status is taken over.
func translate(err error) *models.Error {
	fiberError, ok := errors.AsType[*fiber.Error](err)
	if !ok {
		return models.AsError(err)
	}
	switch fiberError.Code {
	case http.StatusNotFound:
		return models.Errorf(models.CodeNotFound, "there is nothing here")
	case http.StatusMethodNotAllowed:
		return models.Errorf(models.CodeMethodNotAllowed, "this route has no such method")
	case http.StatusRequestTimeout:
		return models.Errorf(models.CodeRequestTimeout, "the request took too long to arrive")
	case http.StatusRequestEntityTooLarge:
		return models.Errorf(models.CodePayloadTooLarge, "the body is too large")
	case http.StatusUpgradeRequired:
		return models.Errorf(models.CodeUpgradeRequired, "this route speaks WebSocket (RFC 6455), version 13")
	case http.StatusRequestHeaderFieldsTooLarge:
		return models.Errorf(models.CodeHeadersTooLarge, "the request line and headers have at most %d bytes", maxHeaderSize)
	case http.StatusInternalServerError:
		return models.AsError(err)
	default:
		return models.Errorf(models.CodeInvalidRequest, "this is not a valid HTTP request")
	}
}

func statusOf(code models.Code) int {
	switch code {
	case models.CodeInvalidTopic, models.CodeInvalidJSON, models.CodeInvalidCursor, models.CodeInvalidRequest:
		return http.StatusBadRequest
	case models.CodeUnauthorized:
		return http.StatusUnauthorized
	case models.CodeRateLimited:
		return http.StatusTooManyRequests
	case models.CodeForbidden:
		return http.StatusForbidden
	case models.CodeNotFound:
		return http.StatusNotFound
	case models.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case models.CodeRequestTimeout:
		return http.StatusRequestTimeout
	case models.CodeConflict, models.CodeTooManySubscriptions:
		return http.StatusConflict
	case models.CodePayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case models.CodeUnsupportedEncoding:
		return http.StatusUnsupportedMediaType
	case models.CodeUpgradeRequired:
		return http.StatusUpgradeRequired
	case models.CodeHeadersTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case models.CodeOverloaded, models.CodeTooManyClients, models.CodeShuttingDown, models.CodeEngineUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// panicked logs a panic of a handler. The caller sees CodeInternal.
func (a *api) panicked(c *fiber.Ctx, cause any) {
	a.Logger.Error("handler_panicked", "cause", cause, "stack", string(debug.Stack()), "request_id", requestID(c))
}
