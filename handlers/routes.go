package handlers

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"
	"go.opentelemetry.io/otel/trace"

	"fanfare/broker"
	"fanfare/clients/js"
	"fanfare/models"
	"fanfare/transport"
	"fanfare/web"
)

// maxHeaderSize bounds the request line and headers, in bytes. More is a 431.
const maxHeaderSize = 16 << 10

// Options configures the routes. Every field but Settings must be set.
type Options struct {
	PubSub *broker.PubSub
	// Version and Engine are what GET /metrics calls the build and the engine.
	Version, Engine string
	Logger          *slog.Logger
	// LogLevel is the least that Logger logs.
	LogLevel *slog.LevelVar
	// Settings are those to begin with.
	Settings Settings
	// AuthTimeout is how long a WebSocket that came without a token may take to send one, where
	// strangers may do nothing.
	AuthTimeout time.Duration
	// Ready is nil when the server wants traffic, else it says why not.
	Ready func(ctx context.Context) error
	// MessageSize bounds the body of a publish, in bytes.
	MessageSize int
	// Subscriptions bounds those of one client.
	Subscriptions int
	// HeaderTimeout bounds the request line and headers: from connecting, or from the
	// first byte of a later request. ReadTimeout bounds the rest of the request,
	// WriteTimeout its answer, and IdleTimeout the pause before the next.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	Carrier                                               *transport.Carrier
	// Tracer makes a span of each publish. Nil makes none, and has the trace of a publisher go along as it came.
	Tracer trace.Tracer
}

// api has what the handlers need. Only its settings change.
type api struct {
	Options
	requestIDs *requestIDs
	refusals   *refusals
	counters   *counters
	bodies     *bodies
	// everything is what callers may do without authentication.
	everything *models.Scopes
	// recording is held while a profile is recorded.
	recording sync.Mutex

	// current has the settings of this moment. What is done for one request may see some and then others.
	current atomic.Pointer[settings]
}

// New gives the server's routes, all of them on this page, and what changes their settings while they serve.
func New(options Options) (routes *fiber.App, apply func(Settings)) {
	a := &api{
		Options:    options,
		requestIDs: newRequestIDs(),
		refusals:   newRefusals(),
		counters:   newCounters(),
		bodies:     newBodies(),
		everything: models.AllScopes(),
	}
	a.apply(options.Settings)
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
	app.Get("/log/level", a.forAdmins, a.getLogLevel)
	app.Put("/log/level", a.forAdmins, a.setLogLevel)
	app.Get("/debug/pprof/:profile", a.forAdmins, a.profile)

	// Whoever is answered during the shutdown need not try the connection again.
	app.Server().CloseOnShutdown = true
	app.Server().KeepHijackedConns = !options.Carrier.CopiesDescriptors()
	limitBodies(app, options.ReadTimeout)
	refuseUnknownMethods(app)
	drainBodies(app)
	a.drainRefused(app)
	return app, a.apply
}
