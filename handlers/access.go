package handlers

import (
	"context"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/broker"
	"fanfare/handlers/auth"
	"fanfare/models"
)

// callerKey is where a request's caller is kept while it is handled, and authKey who has said so.
const (
	callerKey = "caller"
	authKey   = "auth"
)

// authenticate finds out who sends the request, and refuses who says it wrong. Who says
// nothing is a stranger.
func (a *api) authenticate(c *fiber.Ctx) error {
	by, err := a.identify(c)
	c.Locals(callerKey, by)
	if limited := a.current.Load().requests.take(by); limited != nil {
		return a.answerLater(c, limited)
	}
	if err != nil {
		return err
	}
	return c.Next()
}

// limitStrangers is for the routes that need not know who asks.
func (a *api) limitStrangers(c *fiber.Ctx) error {
	if err := a.current.Load().requests.take(caller(c)); err != nil {
		return err
	}
	return c.Next()
}

// caller is who sends the request, as far as that is known by now.
func caller(c *fiber.Ctx) models.Caller {
	by, _ := c.Locals(callerKey).(models.Caller)
	return by
}

// identify gives who sends the request; with an error, that is a stranger who may do nothing.
// CodeUnauthorized and CodeInvalidRequest.
func (a *api) identify(c *fiber.Ctx) (by models.Caller, err error) {
	by.Scopes = a.everything
	authenticator := a.current.Load().Auth
	c.Locals(authKey, authenticator)
	if authenticator != nil {
		by, err = a.authenticated(c, authenticator)
	}
	by.Address = caller(c).Address
	return by, err
}

// authenticated gives whose credential the request has.
func (a *api) authenticated(c *fiber.Ctx, authenticator *auth.Authenticator) (models.Caller, error) {
	credential, err := credentialOf(c)
	switch {
	case err != nil:
		return models.Caller{}, err
	case credential == "":
		return authenticator.Stranger(), nil
	default:
		return a.recognize(authenticator, credential)
	}
}

// recheck ends a client that was let in, or may do more, by an authenticator that was replaced meanwhile: whoever looked for the
// clients that have lost something may have come before it was one.
func (a *api) recheck(client *broker.Client, by *auth.Authenticator) {
	if a.current.Load().Auth != by {
		_ = a.PubSub.Disconnect(context.Background(), client.Caller(), client.ID(), models.CloseTokenExpired)
	}
}

// recognize gives whose credential this is. What is wrong with it is not for whoever sent it.
func (a *api) recognize(authenticator *auth.Authenticator, credential string) (models.Caller, error) {
	by, err := authenticator.Authenticate(credential)
	if err != nil {
		a.Logger.Debug("credential_refused", "error", err)
		return models.Caller{}, models.ErrUnauthorized()
	}
	return by, nil
}

// credentialOf gives the token or API key of a request (RFC 6750, sections 2.1 and 2.3), empty
// without one.
func credentialOf(c *fiber.Ctx) (string, error) {
	headers := c.Request().Header.PeekAll(fiber.HeaderAuthorization)
	inQuery := c.Context().QueryArgs().PeekMulti("access_token")
	switch {
	case len(headers)+len(inQuery) > 1:
		return "", models.Errorf(models.CodeInvalidRequest, "there is more than one token")
	case len(inQuery) > 0:
		return string(inQuery[0]), nil
	case len(headers) == 0:
		return "", nil
	}
	scheme, credential, _ := strings.Cut(string(headers[0]), " ")
	if credential = strings.TrimSpace(credential); !strings.EqualFold(scheme, "Bearer") || credential == "" {
		return "", models.ErrUnauthorized()
	}
	return credential, nil
}

// forAdmins lets only administrators go on.
func (a *api) forAdmins(c *fiber.Ctx) error {
	if err := caller(c).MayAdminister(); err != nil {
		return err
	}
	return c.Next()
}

// auditRequest writes down that an administrator did something.
func (a *api) auditRequest(c *fiber.Ctx, act string, attrs ...any) {
	a.Logger.Info("audit", append([]any{"act", act, "by", caller(c), "request_id", requestID(c)}, attrs...)...)
}

// auditRefusal writes down that a request was refused for who sent it.
func (a *api) auditRefusal(c *fiber.Ctx, e *models.Error) {
	a.refusals.log(a.Logger, "act", c.Method()+" "+utils.CopyString(c.Path()), "code", e.Code,
		"by", caller(c), "request_id", requestID(c))
}
