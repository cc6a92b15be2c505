package handlers

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"fanfare/broker"
	"fanfare/clients/js"
	"fanfare/handlers/auth"
	"fanfare/models"
	"fanfare/transport"
	"fanfare/web"
)

// maxHeaderSize bounds the request line and headers, in bytes. More is a 431.
const maxHeaderSize = 16 << 10

// Options configures the routes. Every field but Auth, AllowedOrigins, TrustedProxies,
// Requests and Publishes must be set.
type Options struct {
	PubSub *broker.PubSub
	Logger *slog.Logger
	// Auth knows the callers. Without it there is no authentication, and whoever reaches the
	// server may do everything: it has to be out of reach for others.
	Auth *auth.Authenticator
	// AuthTimeout is how long a WebSocket that came without a token may take to send one, where
	// strangers may do nothing.
	AuthTimeout time.Duration
	// Ready is nil when the server wants traffic, else it says why not.
	Ready func(ctx context.Context) error
	// AllowedOrigins may use the server from a browser, besides its own pages. Each is
	// scheme://host[:port], in lower case.
	AllowedOrigins []string
	// LocalHosts tells that the server is for this machine alone, so that requests to other names
	// are refused. Without Auth they always are.
	LocalHosts bool
	// TrustedProxies may say where requests come from, by X-Forwarded-For, and by which scheme,
	// by X-Forwarded-Proto. Whoever has such an address can pretend to be anywhere.
	TrustedProxies []netip.Prefix
	// Requests limits HTTP requests and frames of /ws, Publishes the messages that are offered,
	// of each user or, if there is no user, each models.Network.
	Requests, Publishes Rate
	// MessageSize bounds the body of a publish, in bytes.
	MessageSize int
	// Subscriptions bounds those of one client.
	Subscriptions int
	// HeaderTimeout bounds the request line and headers: from connecting, or from the
	// first byte of a later request. ReadTimeout bounds the rest of the request,
	// WriteTimeout its answer, and IdleTimeout the pause before the next.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	Carrier                                               *transport.Carrier
}

// api has what the handlers need. It never changes.
type api struct {
	Options
	requestIDs *requestIDs
	refusals   *refusals
	bodies     *bodies
	// requests and publishes are Options.Requests and Options.Publishes; foreign is what the guard
	// refuses, at Options.Requests, too.
	requests, publishes, foreign *rates
	// everything is what callers may do without authentication.
	everything *models.Scopes
}

// New gives the server's routes: all of them are on this page.
func New(options Options) *fiber.App {
	a := &api{
		Options:    options,
		requestIDs: newRequestIDs(),
		refusals:   newRefusals(),
		bodies:     newBodies(),
		requests:   newRates(options.Requests, "requests and frames"),
		publishes:  newRates(options.Publishes, "messages"),
		foreign:    newRates(options.Requests, "requests"),
		everything: models.AllScopes(),
	}
	app := fiber.New(fiber.Config{
		AppName:               "Fanfare",
		StreamRequestBody:     true, // bodies are read when it is known who sends them
		CaseSensitive:         true,
		StrictRouting:         true,
		DisableStartupMessage: true,
		// A form is a message like any other, byte for byte.
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 a.fail,
		JSONEncoder:                  encodeJSON,
		ReadBufferSize:               maxHeaderSize,
		ReadTimeout:                  options.HeaderTimeout, // until a header is complete: limitBodies
		WriteTimeout:                 options.WriteTimeout,
		IdleTimeout:                  options.IdleTimeout,
	})
	app.Use(a.observe, recover.New(recover.Config{EnableStackTrace: true, StackTraceHandler: a.panicked}), a.locate, a.guard, a.cors, refuseUnclear)

	// For everybody.
	app.Get("/livez", a.live)
	app.Get("/readyz", a.ready)
	app.Get("/", a.limitStrangers, a.page(web.Console()))
	// Without limit: the console is many files, and each costs no more than to say no.
	app.Get("/console/:file", a.consoleFile())
	app.Get("/client.js", a.file(fiber.MIMETextJavaScriptCharsetUTF8, js.Client()))
	app.Get("/swagger", a.limitStrangers, a.toSwagger)
	app.Get("/swagger/", a.limitStrangers, a.page(web.Swagger()))
	app.Get("/swagger/doc.json", a.limitStrangers, a.swaggerSpec)
	app.Get("/swagger/swagger-ui.css", a.limitStrangers, a.swaggerFile)
	app.Get("/swagger/swagger-ui-bundle.js", a.limitStrangers, a.swaggerFile)
	app.Get("/openapi.json", a.limitStrangers, a.openAPI())
	app.Get("/asyncapi.json", a.limitStrangers, a.asyncAPI())
	// A browser sees no 401 here, so it is told later.
	app.Get("/ws", refuseBody, a.acceptWebSocket, a.webSocket())

	app.Use(a.authenticate)
	// For whoever the topic is for.
	app.Post("/publish", a.publishBatch)
	app.Post("/topics/:name/publish", a.publish)
	app.Get("/topics/:name/messages", a.history)
	app.Get("/topics/:name/clients", a.listMembers)
	app.Get("/events", refuseBody, a.events)
	// For administrators.
	app.Get("/topics", a.forAdmins, a.listTopics)
	app.Get("/topics/:name", a.forAdmins, a.getTopic)
	app.Delete("/topics/:name/messages", a.forAdmins, a.purge)
	app.Get("/clients", a.forAdmins, a.listClients)
	app.Delete("/clients", a.forAdmins, a.disconnectUser)
	app.Get("/clients/:id", a.forAdmins, a.getClient)
	app.Delete("/clients/:id", a.forAdmins, a.disconnectClient)
	app.Get("/metrics", a.forAdmins, a.metrics())

	// Whoever is answered during the shutdown need not try the connection again.
	app.Server().CloseOnShutdown = true
	app.Server().KeepHijackedConns = !options.Carrier.CopiesDescriptors()
	limitBodies(app, options.ReadTimeout)
	refuseUnknownMethods(app)
	drainBodies(app)
	a.drainRefused(app)
	return app
}
