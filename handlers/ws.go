package handlers

import (
	"context"
	"encoding/base64"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"fanfare/handlers/auth"
	"fanfare/models"
	"fanfare/transport"
)

// refusalKey is where it is kept that the token of a handshake is refused.
const refusalKey = "refusal"

// cloudEventsKey is where it is kept that messages are to go out as CloudEvents.
const cloudEventsKey = "cloudevents"

// acceptWebSocket checks the handshake of GET /ws (RFC 6455, section 4.2.1).
//
//	@Summary		Subscribe and publish over a WebSocket
//	@ID			connect
//	@Description	Upgrades the connection. Frames are JSON objects: {"action":"subscribe","topic":"news.*"}, {"action":"publish","topic":"news.eu","data":"hello"}. With "since":"<id>", "since":"all" or "last":10 a subscribe begins in the past. The first frame from the server is the welcome.
//	@Tags			connections
//	@Param			access_token	query	string	false	"a token or an API key, where a header cannot be set; a bad one is told on the connection"
//	@Param			format	query	string	false	"cloudevents: each message comes as a CloudEvent"	Enums(cloudevents)
//	@Success		101	"the connection speaks WebSocket from here on: GET /asyncapi.json has its frames"
//	@Header			101	{string}	Upgrade	"websocket"
//	@Header			101	{string}	Sec-WebSocket-Accept	"what the handshake asks for (RFC 6455)"
//	@Failure		400	{object}	models.Problem	"invalid_request"
//	@Failure		403	{object}	models.Problem	"forbidden"
//	@Failure		426	{object}	models.Problem	"upgrade_required"
//	@Failure		429	{object}	models.Problem	"rate_limited"
//	@Failure		503	{object}	models.Problem	"too_many_clients, shutting_down, engine_unavailable"
//	@Router			/ws [get]
func (a *api) acceptWebSocket(c *fiber.Ctx) error {
	by, refusal := a.identify(c)
	c.Locals(callerKey, by)
	if err := a.current.Load().requests.take(by); err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(c.Get("Sec-WebSocket-Key"))
	if !websocket.IsWebSocketUpgrade(c) || !staysOpen(c) || err != nil || len(key) != 16 {
		return requireUpgrade(c)
	}
	cloudEvents, err := formatParam(c)
	if err != nil {
		return err
	}
	if err := a.admitsClient(c); err != nil {
		return err
	}
	authenticator, _ := c.Locals(authKey).(*auth.Authenticator)
	c.Locals(cloudEventsKey, cloudEvents)
	switch {
	case refusal != nil:
		c.Locals(refusalKey, models.AsError(refusal))
		a.auditRefusal(c, models.AsError(refusal))
	case by.User == "" && authenticator != nil && authenticator.WaitsForNames():
		by.Expires = time.Now().Add(a.AuthTimeout)
	}
	c.Locals(callerKey, by)
	return c.Next()
}

// admitsClient is nil when a connection would become a client, else it says why not. Those
// that have left and linger still count.
func (a *api) admitsClient(c *fiber.Ctx) error {
	if err := a.PubSub.AdmitsClient(c.UserContext(), caller(c)); err != nil {
		return err
	}
	return a.Carrier.Admits(caller(c).Address)
}

// staysOpen tells whether the connection can outlive the request. After any other,
// fasthttp would close it although it has answered the handshake.
func staysOpen(c *fiber.Ctx) bool {
	header := &c.Request().Header
	return header.IsHTTP11() && !header.ConnectionClose()
}

// requireUpgrade says how this route wants to be asked (RFC 9110, section 15.5.22).
func requireUpgrade(c *fiber.Ctx) error {
	c.Set(fiber.HeaderConnection, "Upgrade")
	c.Set(fiber.HeaderUpgrade, "websocket")
	c.Set(fiber.HeaderSecWebSocketVersion, "13")
	return fiber.ErrUpgradeRequired
}

// webSocket serves the connection after the handshake.
func (a *api) webSocket() fiber.Handler {
	upgrade := websocket.New(a.serveWebSocket, websocket.Config{
		RecoverHandler: func(*websocket.Conn) {
			a.connectionPanicked(recover())
		},
	})
	return func(c *fiber.Ctx) error {
		if upgrade(c) != nil {
			// The upgrader has begun an answer of its own.
			c.Response().Reset()
			c.Set(fiber.HeaderXRequestID, requestID(c))
			return requireUpgrade(c)
		}
		return nil
	}
}

// connectionPanicked logs a panic at the beginning of a connection, unless the cause is nil.
func (a *api) connectionPanicked(cause any) {
	if cause != nil {
		a.Logger.Error("connection_panicked", "cause", cause, "stack", string(debug.Stack()))
	}
}

// serveWebSocket hands a connection over. It returns at once: from then on there is nothing
// of HTTP about it any more.
func (a *api) serveWebSocket(ws *websocket.Conn) {
	by, _ := ws.Locals(callerKey).(models.Caller)
	refusal, _ := ws.Locals(refusalKey).(*models.Error)
	cloudEvents, _ := ws.Locals(cloudEventsKey).(bool)
	conn, err := a.Carrier.Accept(ws.Conn, by.Address, cloudEvents)
	if err != nil {
		a.Logger.Warn("connection_refused", "error", err, "caller", by)
		_ = ws.NetConn().Close()
		return
	}
	if refusal != nil {
		a.refuse(conn, refusal, models.CloseUnauthorized)
		return
	}
	ctx := context.Background()
	client, err := a.PubSub.AddClient(ctx, by, conn, models.Connection{
		Transport:     models.TransportWebSocket,
		RemoteAddress: by.Address,
		UserAgent:     strings.ToValidUTF8(ws.Headers(fiber.HeaderUserAgent), "\uFFFD"),
	})
	if err != nil {
		a.refuse(conn, models.AsError(err), models.CloseGoingAway)
		return
	}
	conn.Serve(&session{api: a, client: client})
	authenticator, _ := ws.Locals(authKey).(*auth.Authenticator)
	a.recheck(client, authenticator)
}

// refuse tells a connection that has no client why, and ends it.
func (a *api) refuse(conn *transport.Conn, e *models.Error, reason models.CloseCode) {
	a.counters.countRefusal(e.Code)
	format := conn.Format()
	last := append(format.Event(models.NewErrorFrame(e, nil)), format.Close(reason)...)
	_, _ = conn.Write(last, func() {})
	conn.Close(reason)
	conn.Serve(refused{})
}

// refused is the session of a connection that has no client.
type refused struct{}

func (refused) Receive([]byte, bool) {}

func (refused) Reply([]byte) {}

func (refused) Ended(models.CloseCode) {}
