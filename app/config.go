package app

import (
	"time"

	"fanfare/transport"
)

// Config is everything that can be set. LoadConfig fills it, DefaultConfig holds the defaults, and
// config.yaml at the top of the repository lists the same keys for people.
//
// The koanf tags are the keys: server.address is Server.Address, and FANFARE_SERVER_ADDRESS in the
// environment.
//
// Engine keeps the log: memory, in this process alone, or nats. Default memory.
type Config struct {
	Server    ServerConfig    `koanf:"server"`
	Transport TransportConfig `koanf:"transport"`
	Engine    string          `koanf:"engine"`
	History   HistoryConfig   `koanf:"history"`
	NATS      NATSConfig      `koanf:"nats"`
	Limits    LimitsConfig    `koanf:"limits"`
	Auth      AuthConfig      `koanf:"auth"`
	Tracing   TracingConfig   `koanf:"tracing"`
	Log       LogConfig       `koanf:"log"`
}

// ServerConfig is about the listener and its HTTP connections.
type ServerConfig struct {
	// Address is the host:port to listen on. Without authentication the host has to be loopback,
	// since whoever reaches the address may do everything. Port 0 takes a free one.
	// Default 127.0.0.1:8080.
	Address string `koanf:"address"`

	// AllowedOrigins are the web origins, beside the server's own, whose pages may use it, each as
	// a browser sends it: "https://app.example.com". Such a page may do all that there is, over HTTP
	// and /ws: as long as there is no authentication, it is as powerful as a program of this machine.
	// Default none.
	AllowedOrigins []string `koanf:"allowed_origins"`

	// TLS has the server speak HTTPS and wss, and nothing else. Default off.
	TLS TLSConfig `koanf:"tls"`

	// TrustedProxies are the addresses (192.0.2.1) and networks (10.0.0.0/8) of the proxies whose
	// X-Forwarded-For and X-Forwarded-Proto are believed. Who has such an address and is no proxy
	// can pretend to be anywhere, so they must be the proxies alone. Default none.
	TrustedProxies []string `koanf:"trusted_proxies"`

	// DrainDelay is how long the server goes on serving after it reported itself unready and
	// before it shuts down, so that a load balancer can turn away first. Default 0: at once.
	DrainDelay time.Duration `koanf:"drain_delay"`

	// ShutdownTimeout bounds the shutdown itself, after DrainDelay. What is not finished by then
	// is cut off. Default 10s.
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout"`

	// HeaderTimeout bounds the reading of a request line and headers, which is all that there is
	// of a WebSocket's handshake: from connecting, or from the first byte of a later request on
	// the same connection. A TLS handshake has as long by itself, before that. Default 10s.
	HeaderTimeout time.Duration `koanf:"header_timeout"`

	// ReadTimeout bounds the reading of the rest of a request, its body. Large bodies over slow
	// lines need more. Default 30s.
	ReadTimeout time.Duration `koanf:"read_timeout"`

	// WriteTimeout bounds the writing of one whole HTTP answer, which is held in memory until then.
	// WebSockets have limits.outbox_size in its place. Default 30s.
	WriteTimeout time.Duration `koanf:"write_timeout"`

	// IdleTimeout is how long a keep-alive connection may wait for its next request. Default 2m.
	IdleTimeout time.Duration `koanf:"idle_timeout"`
}

// TLSConfig names the certificate of a server with TLS: both files, or neither. They are read
// again when they change.
type TLSConfig struct {
	// CertFile has the certificate in PEM, and behind it those between it and its root. Default
	// none: no TLS.
	CertFile string `koanf:"cert_file"`

	// KeyFile has the private key to it, in PEM. Default none.
	KeyFile string `koanf:"key_file"`
}

// enabled tells whether there is TLS. The configuration has been validated.
func (c TLSConfig) enabled() bool { return c.CertFile != "" }

// TransportConfig is about live connections.
type TransportConfig struct {
	// Mode is how sockets are read: epoll (Linux only and not with TLS; an idle client has no
	// goroutine and no buffer), goroutine (one for each client), or auto, which is epoll where it
	// can be. Default auto.
	Mode transport.Mode `koanf:"mode"`

	// PingInterval is the time between two pings to a client. Keep it below the idle timeout of
	// every proxy between, often 60s. Default 25s.
	PingInterval time.Duration `koanf:"ping_interval"`

	// PongTimeout is how long a client may take to answer a ping before it is dropped. Default 10s.
	PongTimeout time.Duration `koanf:"pong_timeout"`
}

// transportMode is how sockets are read: TLS cannot be taken by descriptor.
func (c Config) transportMode() transport.Mode {
	if c.Server.TLS.enabled() {
		return transport.ModeGoroutine
	}
	return c.Transport.Mode
}

// HistoryConfig bounds the log. A message is removed as soon as one of the bounds says so. All nodes of
// a cluster have the same.
type HistoryConfig struct {
	// MaxMessagesPerTopic is how many messages are kept of one topic. Default 1000.
	MaxMessagesPerTopic int `koanf:"max_messages_per_topic"`

	// MaxAge is how long a message is kept. Default 1h.
	MaxAge time.Duration `koanf:"max_age"`

	// MaxBytes is the size of all messages kept, over all topics. It is held in memory, or by NATS
	// on its disks. Default 256MiB.
	MaxBytes ByteSize `koanf:"max_bytes"`

	// IdempotencyWindow is for how long an idempotency key stands for the message that was
	// published with it first. Keys take up to a quarter of MaxBytes beside the messages; with more,
	// the oldest is forgotten before its time. Default 2m.
	IdempotencyWindow time.Duration `koanf:"idempotency_window"`
}

// LimitsConfig bounds what clients can make the server hold.
type LimitsConfig struct {
	// MessageSize is the largest data of one message. Default 1MiB.
	MessageSize ByteSize `koanf:"message_size"`

	// OutboxSize is how much may wait for one client before it is disconnected as too slow. It is
	// more than a largest message in its frame. Stalled clients can cost this much memory each.
	// Default 4MiB.
	OutboxSize ByteSize `koanf:"outbox_size"`

	// Clients is how many clients may be connected at a time. Each has a descriptor. Default 0:
	// as many as the process may have descriptors, less 1000, or less a quarter if that is less.
	// It is never more than that.
	Clients int `koanf:"clients"`

	// ClientsPerAddress is how many of them one address may have: an IPv4 address, or the /64 of
	// an IPv6 address. Many users can share one. Default 0: no limit.
	ClientsPerAddress int `koanf:"clients_per_address"`

	// PublishRate is how many messages a second a user may publish, over all connections and in
	// the long run, or a stranger's address. Default 0: no limit.
	PublishRate float64 `koanf:"publish_rate"`

	// PublishBurst is how many of them may come at once. Default 0: as many as in a second.
	PublishBurst int `koanf:"publish_burst"`

	// RequestRate is the same for HTTP requests and frames over /ws, of any kind. Those that
	// publish count as well. Default 0: no limit.
	RequestRate float64 `koanf:"request_rate"`

	// RequestBurst is how many of them may come at once. Default 0: as many as in a second.
	RequestBurst int `koanf:"request_burst"`

	// SubscriptionsPerClient is how many patterns one client may be subscribed to. Default 1000.
	SubscriptionsPerClient int `koanf:"subscriptions_per_client"`

	// InFlightSize is how much may be published but not yet taken by the shards, over all
	// publishers. When it is full, publishers wait. Default 64MiB.
	InFlightSize ByteSize `koanf:"in_flight_size"`

	// PublishWait is how long a publisher waits for room in InFlightSize before it is told that
	// the server is overloaded. Default 5s.
	PublishWait time.Duration `koanf:"publish_wait"`
}

// AuthConfig says who may do what. With nothing of it set, there is no authentication.
type AuthConfig struct {
	JWT JWTConfig `koanf:"jwt"`

	// APIKeys are for programs. Default none.
	APIKeys []APIKeyConfig `koanf:"api_keys"`

	// Anonymous is what strangers may do, who have neither token nor key. Default nothing.
	Anonymous AnonymousConfig `koanf:"anonymous"`
}

// JWTConfig says which tokens (RFC 7519) are taken. They are, if Algorithms is set.
type JWTConfig struct {
	// Algorithms are those that a token may be signed with: HS256, HS384, HS512, RS256, RS384,
	// RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA. Default none.
	Algorithms []string `koanf:"algorithms"`

	// Key verifies tokens: the shared secret for HS*, else a public key in PEM. There has to be
	// one of Key, KeyFile and JWKSURL. Default none.
	Key string `koanf:"key"`

	// KeyFile is a file that holds the key, read at the start. Default none.
	KeyFile string `koanf:"key_file"`

	// JWKSURL is where a JSON Web Key Set is to be had, by https unless it is on this machine. It
	// is asked for again every 5 minutes, and for a key that is not known. Default none.
	JWKSURL string `koanf:"jwks_url"`

	// Issuer has to be a token's "iss", and Audience in its "aud", if they are set. Default none.
	Issuer   string `koanf:"issuer"`
	Audience string `koanf:"audience"`

	// Leeway is how far the issuer's clock may be off. Default 5s.
	Leeway time.Duration `koanf:"leeway"`
}

// APIKeyConfig is an API key, known by its hash.
type APIKeyConfig struct {
	// Name is the user's name, as that of a token's "sub".
	Name string `koanf:"name"`

	// Hash is what "fanfare key hash" prints for the key.
	Hash string `koanf:"hash"`

	// Subscribe and Publish are the patterns that it is for, and Admin whether it may administer.
	Subscribe []string `koanf:"subscribe"`
	Publish   []string `koanf:"publish"`
	Admin     bool     `koanf:"admin"`
}

// AnonymousConfig is what strangers may do.
type AnonymousConfig struct {
	// Subscribe and Publish are the patterns that are open to everybody. Default none.
	Subscribe []string `koanf:"subscribe"`
	Publish   []string `koanf:"publish"`
}

// TracingConfig says where spans of what is published go to, by OpenTelemetry.
type TracingConfig struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP. Without a path it has that of collectors,
	// /v1/traces. Default none: no tracing.
	Endpoint string `koanf:"endpoint"`

	// Headers are sent along, each as name=value: what the collector wants to see. They may be secrets. Default none.
	Headers []string `koanf:"headers"`

	// SampleRatio is which part is recorded of the traces that begin here, 0 to 1. Of the others, that a publisher has
	// begun, those are that he records. Default 1.
	SampleRatio float64 `koanf:"sample_ratio"`

	// ServiceName is what the server is called in traces. Default fanfare.
	ServiceName string `koanf:"service_name"`
}

// LogConfig is about the server's own log on standard error.
type LogConfig struct {
	// Level is the least that is logged: debug, info, warn or error. Default info.
	Level string `koanf:"level"`

	// Format is text or json. Default text.
	Format string `koanf:"format"`
}

// DefaultConfig returns the configuration of a server that nothing was set for.
func DefaultConfig() Config {
	return Config{
		Server: ServerConfig{
			Address:         "127.0.0.1:8080",
			AllowedOrigins:  []string{},
			TrustedProxies:  []string{},
			DrainDelay:      0,
			ShutdownTimeout: 10 * time.Second,
			HeaderTimeout:   10 * time.Second,
			ReadTimeout:     30 * time.Second,
			WriteTimeout:    30 * time.Second,
			IdleTimeout:     2 * time.Minute,
		},
		Transport: TransportConfig{
			Mode:         transport.ModeAuto,
			PingInterval: 25 * time.Second,
			PongTimeout:  10 * time.Second,
		},
		Engine: engineMemory,
		History: HistoryConfig{
			MaxMessagesPerTopic: 1000,
			MaxAge:              time.Hour,
			MaxBytes:            256 * MiB,
			IdempotencyWindow:   2 * time.Minute,
		},
		NATS: NATSConfig{
			StoreDir:      "fanfare-data",
			Sync:          syncOS,
			URLs:          []string{},
			Stream:        "FANFARE",
			SubjectPrefix: "fanfare",
			Replicas:      1,
		},
		Limits: LimitsConfig{
			MessageSize:            1 * MiB,
			OutboxSize:             4 * MiB,
			SubscriptionsPerClient: 1000,
			InFlightSize:           64 * MiB,
			PublishWait:            5 * time.Second,
		},
		Auth: AuthConfig{
			JWT:       JWTConfig{Algorithms: []string{}, Leeway: 5 * time.Second},
			APIKeys:   []APIKeyConfig{},
			Anonymous: AnonymousConfig{Subscribe: []string{}, Publish: []string{}},
		},
		Tracing: TracingConfig{Headers: []string{}, SampleRatio: 1, ServiceName: "fanfare"},
		Log: LogConfig{
			Level:  "info",
			Format: "text",
		},
	}
}
