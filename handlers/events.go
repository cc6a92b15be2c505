package handlers

import (
	"bytes"
	"context"
	"net"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"fanfare/broker"
	"fanfare/handlers/auth"
	"fanfare/models"
	"fanfare/transport"
)

// The media types of GET /events.
const (
	mimeSSE    = "text/event-stream"
	mimeNDJSON = "application/x-ndjson"
)

// listening is what a GET /events asks for. It outlives the request.
type listening struct {
	by         models.Caller
	auth       *auth.Authenticator // who said so
	connection models.Connection
	format     models.Format
	patterns   []models.Pattern
	options    models.SubscribeOptions
	ack        models.Ack
	// header is that of the answer, as it goes out.
	header []byte
}

// events answers GET /events.
//
//	@Summary		Listen to topics
//	@ID			listen
//	@Description	Streams what is published to the topics, for as long as the connection lasts: server-sent events for a browser's EventSource or curl -N, or one JSON object a line. The first event is the ack, whose "recovered" says whether anything after "since" is lost. Messages are events without a name; each has an id, from which the next request can go on. Every 25 s there is a heartbeat.
//	@Description
//	@Description	```
//	@Description	id: 4kq9zt2m-1042
//	@Description	data: {"type":"message","id":"4kq9zt2m-1042","topic":"news.eu","data":"hello","time":"2026-11-23T17:45:01.250Z"}
//	@Description	```
//	@Tags			connections
//	@Produce		text/event-stream,application/x-ndjson
//	@Param			topic			query		[]string		true	"topics or patterns"	collectionFormat(multi)	example(news.*)
//	@Param			since			query		string			false	"the id after which to begin, or all"
//	@Param			last			query		int				false	"begin with the last so many messages; not with since"	minimum(1)								maximum(10000)
//	@Param			overflow		query		string			false	"what happens when you do not keep up"					Enums(disconnect, drop_oldest, latest)	default(disconnect)
//	@Param			format			query		string			false	"cloudevents: each message comes as a CloudEvent"			Enums(cloudevents)
//	@Param			Last-Event-ID	header		string			false	"as since, in place of both; a browser sends it when it comes back"
//	@Success		200				{string}	string			"the events, or the lines"
//	@Header			200				{string}	X-Accel-Buffering	"no: proxies must not gather it"
//	@Failure		400				{object}	models.Problem	"invalid_topic, invalid_cursor, invalid_request"
//	@Failure		401				{object}	models.Problem	"unauthorized"
//	@Failure		403				{object}	models.Problem	"forbidden"
//	@Failure		409				{object}	models.Problem	"too_many_subscriptions"
//	@Failure		429				{object}	models.Problem	"rate_limited"
//	@Failure		503				{object}	models.Problem	"too_many_clients, shutting_down, engine_unavailable"
//	@Security		Bearer
//	@x-responses	{"200":{"content":{"text/event-stream":{"example":"id: 4kq9zt2m-1042\nevent: ack\ndata: {\"type\":\"ack\",\"action\":\"subscribe\",\"topic\":\"news.*\",\"id\":\"4kq9zt2m-1042\"}\n\nid: 4kq9zt2m-1043\ndata: {\"type\":\"message\",\"id\":\"4kq9zt2m-1043\",\"topic\":\"news.eu\",\"data\":\"hello\",\"time\":\"2026-11-23T17:45:01.250Z\"}\n\n"},"application/x-ndjson":{"example":"{\"type\":\"ack\",\"action\":\"subscribe\",\"topic\":\"news.*\",\"id\":\"4kq9zt2m-1042\"}\n{\"type\":\"message\",\"id\":\"4kq9zt2m-1043\",\"topic\":\"news.eu\",\"data\":\"hello\",\"time\":\"2026-11-23T17:45:01.250Z\"}\n"}}}}
//	@Router			/events [get]
func (a *api) events(c *fiber.Ctx) error {
	l, err := a.parseListening(c)
	if err != nil {
		return err
	}
	if err := l.by.MaySubscribe(l.patterns...); err != nil {
		return err
	}
	if err := a.admitsClient(c); err != nil {
		return a.answerLater(c, err)
	}
	passOn(c)
	// The body ends with the connection.
	c.Response().Header.SetContentLength(-2)
	if c.Method() == fiber.MethodHead {
		return nil
	}
	l.header = bytes.Clone(c.Response().Header.Header())
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) { a.serveEvents(conn, l) })
	return nil
}

// passOn keeps proxies from changing a stream, and nginx from gathering events before it passes them on.
func passOn(c *fiber.Ctx) {
	c.Set(fiber.HeaderCacheControl, "no-store, no-transform")
	c.Set("X-Accel-Buffering", "no")
}

// answerLater answers a request that cannot be served for now. A browser's EventSource would
// give up for good at any status but 200 (WHATWG HTML, section 9.2.3), so it gets a stream
// that says why and ends.
func (a *api) answerLater(c *fiber.Ctx, err error) error {
	e := models.AsError(err)
	// Whoever asks for something else would take a 200 for a success.
	if c.Path() != "/events" || !strings.Contains(c.Get(fiber.HeaderAccept), mimeSSE) {
		return err
	}
	a.counters.countRefusal(e.Code)
	if isRefusal(e.Code) {
		a.auditRefusal(c, e)
	}
	format := transport.SSE{}
	passOn(c)
	c.Set(fiber.HeaderContentType, mimeSSE)
	return c.Send(append(format.Event(models.NewErrorFrame(e, nil)), format.Close(models.CloseGoingAway)...))
}

// parseListening reads the request, and sets the content type of the answer.
func (a *api) parseListening(c *fiber.Ctx) (l listening, err error) {
	if l.patterns, err = a.topicParams(c); err != nil {
		return l, err
	}
	if l.options.Overflow, err = models.ParseOverflow(utils.CopyString(c.Query("overflow"))); err != nil {
		return l, err
	}
	// Whoever comes back comes with the parameters of the first time.
	if id := c.Get("Last-Event-ID"); id != "" {
		l.options.Start, err = models.ParseStart(utils.CopyString(id), nil)
	} else {
		l.options.Start, err = startParams(c)
	}
	if err != nil {
		return l, err
	}
	cloudEvents, err := formatParam(c)
	if err != nil {
		return l, err
	}
	l.by = caller(c)
	l.auth, _ = c.Locals(authKey).(*auth.Authenticator)
	l.ack = subscribeAck(l.patterns)
	if c.Accepts(mimeSSE, mimeNDJSON) == mimeNDJSON {
		l.format, l.connection = transport.NDJSON{CloudEvents: cloudEvents}, connection(c, models.TransportNDJSON)
		c.Set(fiber.HeaderContentType, mimeNDJSON)
	} else {
		l.format, l.connection = transport.SSE{CloudEvents: cloudEvents}, connection(c, models.TransportSSE)
		c.Set(fiber.HeaderContentType, mimeSSE)
	}
	return l, nil
}

// topicParams gives the patterns of the parameters topic, each once.
func (a *api) topicParams(c *fiber.Ctx) ([]models.Pattern, error) {
	var patterns []models.Pattern
	for _, text := range c.Context().QueryArgs().PeekMulti("topic") {
		pattern, err := models.ParsePattern(string(text))
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, pattern)
	}
	if len(patterns) == 0 {
		return nil, models.Errorf(models.CodeInvalidTopic, "topic is missing")
	}
	return a.distinct(patterns)
}

// distinct gives the patterns in their order, each once, unless there are more than a client may be
// subscribed to. It comes before anything that takes time for each of them.
func (a *api) distinct(patterns []models.Pattern) (once []models.Pattern, err error) {
	seen := make(map[models.Pattern]bool)
	for _, pattern := range patterns {
		if seen[pattern] {
			continue
		}
		if len(once) == a.Subscriptions {
			return nil, models.Errorf(models.CodeTooManySubscriptions, "a client has at most %d subscriptions", a.Subscriptions)
		}
		seen[pattern] = true
		once = append(once, pattern)
	}
	return once, nil
}

// subscribeAck acknowledges a subscription to the patterns.
func subscribeAck(patterns []models.Pattern) models.Ack {
	request := models.Request{Action: models.ActionSubscribe}
	if len(patterns) == 1 {
		request.Topic = string(patterns[0])
	} else {
		for _, pattern := range patterns {
			request.Topics = append(request.Topics, string(pattern))
		}
	}
	return models.NewAck(request)
}

// serveEvents makes a client of a connection whose request was read. When it returns,
// nothing of HTTP is left of it. What fails from here on is told as a frame, since the
// header is out.
func (a *api) serveEvents(hijacked net.Conn, l listening) {
	ctx := context.Background()
	var client *broker.Client
	defer func() {
		cause := recover()
		a.connectionPanicked(cause)
		if cause != nil && client != nil {
			_ = a.PubSub.Disconnect(ctx, l.by, client.ID(), models.CloseInternal)
		}
	}()
	conn, err := a.Carrier.AcceptOneWay(hijacked, l.by.Address, l.format)
	if err != nil {
		a.Logger.Warn("connection_refused", "error", err, "caller", l.by)
		_ = hijacked.Close()
		return
	}
	if n, err := conn.Write(l.header, func() {}); err != nil || n < len(l.header) {
		// The peer is gone, or does not even take the answers to what it asked before.
		conn.Close(models.CloseAbnormal)
		conn.Serve(refused{})
		return
	}
	client, err = a.PubSub.AddClient(ctx, l.by, conn, l.connection)
	if err != nil {
		a.refuse(conn, models.AsError(err), models.CloseGoingAway)
		return
	}
	s := &session{api: a, client: client}
	conn.Serve(s)
	a.recheck(client, l.auth)
	if err := a.PubSub.Subscribe(ctx, l.by, client, l.patterns, l.options, l.ack); err != nil {
		s.fail(err, nil)
		_ = a.PubSub.Disconnect(ctx, l.by, client.ID(), models.CloseGoingAway)
	}
}
