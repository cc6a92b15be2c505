package natsengine

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// serverPatience is how long the server in this process may take to start: it reads its store.
	serverPatience = 2 * time.Minute
	// startLook is how often it is looked at meanwhile.
	startLook = 100 * time.Millisecond
	// ownUser is whom the engine comes as, voiceUser whom it publishes as so that guests hear it, and guestUser
	// everybody else.
	ownUser, voiceUser, guestUser = "fanfare-node", "fanfare-voice", "fanfare"
	// maxPayload is the largest message that NATS has, in bytes.
	maxPayload = 64 << 20
)

// embeddedServer is a NATS server in this process, with its store.
type embeddedServer struct {
	server   *server.Server
	store    *store
	stream   string
	password string
	// config is that of JetStream.
	config server.JetStreamConfig
	// room is the account of guests, once there can be some.
	room atomic.Pointer[server.Account]
}

// startServer starts a server on a store.
func startServer(o Options) (*embeddedServer, error) {
	wrap := func(err error) error { return fmt.Errorf("nats.store_dir %s: %w", o.StoreDir, err) }
	opened, err := openStore(o.StoreDir)
	if err != nil {
		return nil, wrap(err)
	}
	s := &embeddedServer{store: opened, stream: o.Stream, password: rand.Text()}
	options, err := s.options(o)
	if err != nil {
		return nil, errors.Join(err, opened.close(false))
	}
	if s.server, err = server.NewServer(options); err != nil {
		return nil, errors.Join(err, opened.close(false))
	}
	problems := &serverLog{logger: o.Logger, fatal: make(chan string, 1)}
	s.server.SetLoggerV2(problems, false, false, false)
	s.server.Start()
	if err := s.awaitStart(problems.fatal); err != nil {
		s.server.Shutdown()
		return nil, errors.Join(wrap(fmt.Errorf("its NATS server cannot start: %w", err)), opened.close(false))
	}
	s.config = *s.server.JetStreamConfig()
	s.config.StoreDir = filepath.Dir(s.config.StoreDir) // it appends its own
	if o.Listen != "" {
		if err := s.openGuestRoom(o.Prefix); err != nil {
			s.server.Shutdown()
			return nil, errors.Join(err, opened.close(false))
		}
	}
	return s, nil
}

// awaitStart waits until the server lets clients in, or says why it never will.
func (s *embeddedServer) awaitStart(fatal <-chan string) error {
	for end := time.Now().Add(serverPatience); time.Now().Before(end); {
		ready := s.server.ReadyForConnections(startLook)
		select {
		case text := <-fatal:
			return errors.New(text)
		default:
		}
		if ready {
			return nil
		}
	}
	return errors.New("it takes too long")
}

func (s *embeddedServer) options(o Options) (*server.Options, error) {
	options := &server.Options{
		ServerName:                 "fanfare",
		DontListen:                 o.Listen == "",
		JetStream:                  true,
		StoreDir:                   filepath.Join(o.StoreDir, "nats"),
		JetStreamMaxStore:          o.History.MaxBytes + 1<<40, // the disk itself is watched
		SyncAlways:                 o.SyncAlways,
		MaxPayload:                 int32(min(o.MessageSize+headerSpace, maxPayload)), //nolint:gosec // it fits
		NoSigs:                     true,
		CustomClientAuthentication: doorman{server: s, password: o.Password, permissions: guestPermissions(o)},
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, err
		}
		options.Host = host
		if options.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
		if options.Port == 0 {
			options.Port = server.RANDOM_PORT
		}
	}
	return options, nil
}

// openGuestRoom makes the account of other NATS clients. JetStream is in another one, since it would answer them at
// whatever subject they ask it to, also where they may not publish: a message with the reply $JS.API.STREAM.PURGE.X
// empties the stream X. All that comes out of their account is messages to topics, and their answers come back.
func (s *embeddedServer) openGuestRoom(prefix string) error {
	room, err := s.server.RegisterAccount("guests")
	if err != nil {
		return err
	}
	topics, log := prefix+".>", s.server.GlobalAccount()
	if err := log.AddServiceExport(topics, []*server.Account{room}); err != nil {
		return err
	}
	if err := room.AddServiceImport(log, topics, topics); err != nil {
		return err
	}
	s.room.Store(room)
	return nil
}

// doorman lets the engine in, and guests with their permissions. It implements server.Authentication.
type doorman struct {
	server *embeddedServer
	// password is that of guests, if they need one.
	password    string
	permissions *server.Permissions
}

// Check implements server.Authentication.
func (d doorman) Check(c server.ClientAuthentication) bool {
	shown, room := c.GetOpts(), d.server.room.Load()
	is := func(user, password string) bool {
		return shown.Username == user && subtle.ConstantTimeCompare([]byte(shown.Password), []byte(password)) == 1
	}
	switch {
	case is(ownUser, d.server.password):
		c.RegisterUser(&server.User{Username: ownUser})
	case room == nil:
		return false
	case is(voiceUser, d.server.password):
		c.RegisterUser(&server.User{Username: voiceUser, Account: room})
	case d.password == "" || is(guestUser, d.password):
		c.RegisterUser(&server.User{Username: guestUser, Account: room, Permissions: d.permissions})
	default:
		return false
	}
	return true
}

// guestPermissions lets other NATS clients publish and listen to topics.
func guestPermissions(o Options) *server.Permissions {
	allowed := &server.SubjectPermission{Allow: []string{o.Prefix + ".>", "_INBOX.>"}}
	return &server.Permissions{Publish: allowed, Subscribe: allowed}
}

// takeMessages has the server take messages, or refuse all, whoever they come from.
func (s *embeddedServer) takeMessages(take bool) {
	limits := server.JetStreamAccountLimits{
		MaxMemory: -1, MaxStore: 0, MaxStreams: -1, MaxConsumers: -1, MaxAckPending: -1, MemoryMaxStreamBytes: -1, StoreMaxStreamBytes: -1,
	}
	if take {
		limits.MaxStore = -1
	}
	// Without JetStream it takes none.
	_ = s.server.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits})
}

// broken tells why the log takes nothing more, if it has failed to write.
func (s *embeddedServer) broken() error {
	if !s.server.JetStreamEnabled() {
		return errors.New("JetStream is disabled")
	}
	health := s.server.Healthz(&server.HealthzOptions{Account: s.server.GlobalAccount().Name, Stream: s.stream})
	if health.StatusCode == http.StatusServiceUnavailable {
		return errors.New(health.Error)
	}
	return nil
}

// revive closes and opens the log: what could not write may.
func (s *embeddedServer) revive() error {
	if err := s.server.ShutdownJetStream(); err != nil {
		return err
	}
	config := s.config
	return s.server.EnableJetStream(&config)
}

func (s *embeddedServer) connectOptions(user string) []nats.Option {
	return []nats.Option{nats.InProcessServer(s.server), nats.UserInfo(user, s.password)}
}

// close ends the server, and has everything on the disk.
func (s *embeddedServer) close() error {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	return s.store.close(true)
}

// serverLog logs what the server in this process has to complain of.
type serverLog struct {
	logger *slog.Logger
	// fatal gets the first reason why it does not start.
	fatal chan string
}

// Noticef implements server.Logger, as do the others.
func (l *serverLog) Noticef(string, ...any) {}

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, args ...any) { l.log(slog.LevelWarn, format, args) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

// Fatalf implements server.Logger. The process goes on, or ends in order.
func (l *serverLog) Fatalf(format string, args ...any) {
	l.log(slog.LevelError, format, args)
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}

// Debugf implements server.Logger.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef implements server.Logger.
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) log(level slog.Level, format string, args []any) {
	l.logger.Log(context.Background(), level, "nats", "text", fmt.Sprintf(format, args...))
}
