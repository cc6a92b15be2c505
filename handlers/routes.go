package handlers

import (
	"context"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"fanfare/broker"
	"fanfare/transport"
)

// maxHeaderSize bounds the request line and headers, in bytes. More is a 431.
const maxHeaderSize = 16 << 10

// Options configures the routes. Every field but AllowedOrigins must be set.
type Options struct {
	PubSub *broker.PubSub
	Logger *slog.Logger
	// Ready is nil when the server wants traffic, else it says why not.
	Ready func(ctx context.Context) error
	// AllowedOrigins may use the server from a browser, besides its own pages. Each is
	// scheme://host[:port], in lower case.
	AllowedOrigins []string
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
}

// New gives the server's routes: all of them are on this page.
func New(options Options) *fiber.App {
	a := &api{Options: options, requestIDs: newRequestIDs()}
	app := fiber.New(fiber.Config{
		AppName:               "Fanfare",
		BodyLimit:             options.MessageSize,
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
	app.Use(a.observe, recover.New(recover.Config{EnableStackTrace: true, StackTraceHandler: a.panicked}), a.guard)

	app.Post("/publish", a.publishBatch)
	app.Post("/topics/:name/publish", a.publish)
	app.Get("/topics", a.listTopics)
	app.Get("/topics/:name", a.getTopic)
	app.Get("/topics/:name/messages", a.history)
	app.Delete("/topics/:name/messages", a.purge)
	app.Get("/topics/:name/clients", a.listMembers)
	app.Get("/clients", a.listClients)
	app.Delete("/clients", a.disconnectUser)
	app.Get("/clients/:id", a.getClient)
	app.Delete("/clients/:id", a.disconnectClient)
	app.Get("/events", a.events)
	app.Get("/ws", a.acceptWebSocket, a.webSocket())
	app.Get("/livez", a.live)
	app.Get("/readyz", a.ready)
	app.Get("/metrics", a.metrics())
	app.Get("/", a.console)
	app.Get("/swagger", a.toSwagger)
	app.Get("/swagger/", a.swagger)
	app.Get("/swagger/doc.json", a.swaggerSpec)
	app.Get("/swagger/swagger-ui.css", a.swaggerFile)
	app.Get("/swagger/swagger-ui-bundle.js", a.swaggerFile)

	// Whoever is answered during the shutdown need not try the connection again.
	app.Server().CloseOnShutdown = true
	app.Server().KeepHijackedConns = !options.Carrier.CopiesDescriptors()
	limitBodies(app, options.ReadTimeout)
	refuseUnknownMethods(app)
	a.drainRefused(app)
	return app
}
