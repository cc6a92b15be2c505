package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"fanfare/broker"
	"fanfare/handlers"
	"fanfare/handlers/auth"
	"fanfare/models"
	"fanfare/transport"
)

const (
	// closeLinger is how long a client that was closed has to take the rest and to leave.
	closeLinger = 5 * time.Second
	// authTimeout is how long a WebSocket that came without a token has to send one.
	authTimeout = 10 * time.Second
	// lastAnswers is how long the last HTTP answers may take to leave at shutdown.
	lastAnswers = time.Second
)

// App is a whole server: New builds it, Run serves until its context ends.
type App struct {
	// Set by New, never changed.
	config   Config
	logger   *slog.Logger
	clients  int // the most that it takes, 0 for no limit
	listener net.Listener
	pubsub   *broker.PubSub
	carrier  *transport.Carrier
	server   *fiber.App
	conns    *httpConns
	tracing  *tracing
	// authenticator is the one to begin with, and stopKeys ends the refreshing of its keys for tokens.
	authenticator *auth.Authenticator
	stopKeys      context.CancelFunc
	// certificate is what the server shows, nil without TLS.
	certificate *certificate
	// apply changes the settings of the routes.
	apply func(handlers.Settings)

	// level is the least that logger logs.
	level slog.LevelVar

	// draining tells that the server wants no more traffic.
	draining atomic.Bool
}

// New opens the address and builds everything behind it. With NATS it may wait for servers that are about
// to start, until ctx ends. Run must follow: it frees what New has taken. What is logged is log.level's to say;
// the logger should let it all through, since that may change.
func New(ctx context.Context, config Config, logger *slog.Logger) (_ *App, err error) {
	a := &App{
		config:  config,
		clients: maxClients(config.Limits.Clients, descriptorLimit()),
		conns:   newHTTPConns(),
	}
	a.level.Set(logLevel(config.Log.Level))
	logger = slog.New(leveled{logger.Handler(), &a.level})
	a.logger = logger
	listener, err := a.listen()
	if err != nil {
		return nil, err
	}
	keys, stopKeys := context.WithCancel(context.Background())
	a.stopKeys = stopKeys
	defer func() {
		if err != nil {
			stopKeys()
		}
	}()
	a.authenticator, err = newAuthenticator(keys, config.Auth, logger)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	a.listener = listener
	engine, messageSize, err := newEngine(ctx, config, logger)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	frameSize := messageSize + int(frameOverhead)
	a.pubsub, err = broker.New(ctx, engine, broker.Options{
		MessageSize:       messageSize,
		FrameSize:         frameSize,
		OutboxSize:        int(config.Limits.OutboxSize),
		Clients:           a.clients,
		ClientsPerAddress: config.Limits.ClientsPerAddress,
		Subscriptions:     config.Limits.SubscriptionsPerClient,
		InFlightSize:      int64(config.Limits.InFlightSize),
		PublishWait:       config.Limits.PublishWait,
		PingInterval:      config.Transport.PingInterval,
	})
	if err != nil {
		return nil, errors.Join(err, engine.Close(), listener.Close())
	}
	a.carrier, err = transport.New(transport.Options{
		Mode:                  config.transportMode(),
		Connections:           a.clients,
		ConnectionsPerNetwork: config.Limits.ClientsPerAddress,
		FrameSize:             frameSize,
		Silence:               config.Transport.PingInterval + config.Transport.PongTimeout,
		Linger:                min(closeLinger, config.Server.ShutdownTimeout/3),
		Logger:                logger,
	})
	if err != nil {
		return nil, errors.Join(err, a.pubsub.Close(context.Background()), listener.Close())
	}
	a.tracing, err = newTracing(ctx, config.Tracing, logger)
	if err != nil {
		return nil, errors.Join(err, a.pubsub.Close(context.Background()), a.carrier.Close(context.Background()), listener.Close())
	}
	a.server, a.apply = handlers.New(handlers.Options{
		PubSub:        a.pubsub,
		Version:       thisBuild().Version,
		Engine:        config.Engine,
		Logger:        logger,
		LogLevel:      &a.level,
		Settings:      settings(config, a.authenticator),
		AuthTimeout:   authTimeout,
		Ready:         a.ready,
		MessageSize:   messageSize,
		Subscriptions: config.Limits.SubscriptionsPerClient,
		HeaderTimeout: config.Server.HeaderTimeout,
		ReadTimeout:   config.Server.ReadTimeout,
		WriteTimeout:  config.Server.WriteTimeout,
		IdleTimeout:   config.Server.IdleTimeout,
		Carrier:       a.carrier,
		Tracer:        a.tracing.tracer(),
	})
	a.conns.watch(a.server.Server())
	return a, nil
}

// listen opens the address, with TLS if there is to be any.
func (a *App) listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", a.config.Server.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	listener = newSteadyListener(listener, a.logger, a.conns.shed)
	if !a.config.Server.TLS.enabled() {
		return listener, nil
	}
	a.certificate, err = loadCertificate(a.config.Server.TLS, a.logger)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return tls.NewListener(listener, a.certificate.config()), nil
}

// Address is where the server listens, host:port.
func (a *App) Address() string {
	return a.listener.Addr().String()
}

// url is where a browser finds the server.
func (a *App) url() string {
	if a.config.Server.TLS.enabled() {
		return "https://" + a.Address()
	}
	return "http://" + a.Address()
}

// Run serves until ctx ends and then shuts down in order. An error means that it could
// not serve, or that the shutdown had to cut something off.
func (a *App) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- a.server.Listener(a.listener) }()
	a.tell("READY=1")
	a.logger.Info("listening", "address", a.Address(), "url", a.url(), "authentication", a.config.Auth.isOn(), "max_clients", a.clients)
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("cannot serve: %w", err), a.shutdown())
	case <-ctx.Done():
		err := a.shutdown()
		return errors.Join(err, <-served)
	}
}

// shutdown ends the server in this order: not ready, and every HTTP connection closed behind its
// next answer; serve on for the drain delay;
// accept no connection and no new work; finish what was accepted, close every client
// behind what it is due, end the engine; let the last answers out, and cut off those who
// do not take theirs or never finish their request; send the last spans.
func (a *App) shutdown() error {
	a.draining.Store(true)
	a.tell("STOPPING=1")
	a.conns.sendAway()
	defer a.stopKeys()
	a.logger.Info("draining", "delay", a.config.Server.DrainDelay)
	time.Sleep(a.config.Server.DrainDelay)

	a.logger.Info("shutting_down", "timeout", a.config.Server.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), a.config.Server.ShutdownTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- a.server.ShutdownWithContext(ctx) }()
	a.conns.closeFresh()
	err := errors.Join(a.pubsub.Close(ctx), a.carrier.Close(ctx))
	deadline, _ := ctx.Deadline()
	cut := time.AfterFunc(min(lastAnswers, time.Until(deadline)/2), func() {
		a.logger.Warn("connections_cut", "count", a.conns.closeAll())
	})
	err = errors.Join(err, <-stopped)
	cut.Stop()
	a.tracing.close(ctx)
	if err != nil {
		return fmt.Errorf("the shutdown was cut short: %w", err)
	}
	a.logger.Info("stopped")
	return nil
}

// tell is notify, which a server can do without.
func (a *App) tell(state string) {
	if err := notify(state); err != nil {
		a.logger.Warn("systemd_not_told", "state", state, "error", err)
	}
}

// ready is what /readyz says.
func (a *App) ready(ctx context.Context) error {
	if a.draining.Load() {
		return models.ErrShuttingDown()
	}
	return a.pubsub.Ready(ctx)
}
