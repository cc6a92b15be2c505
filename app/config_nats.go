package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"slices"
	"time"

	"fanfare/broker"
	"fanfare/broker/natsengine"
	"fanfare/models"
)

// The engines.
const (
	engineMemory = "memory"
	engineNATS   = "nats"
)

// What NATSConfig.Sync can be.
const (
	syncOS     = "os"
	syncAlways = "always"
)

// minWindow is the shortest window of idempotency with NATS.
const minWindow = 10 * time.Second

// minSecret is the shortest secret of a cluster, in bytes.
const minSecret = 32

// NATSConfig is about the engine nats: a server in this process, or those of a cluster.
type NATSConfig struct {
	// Embedded runs a NATS server in this process. Default false.
	Embedded bool `koanf:"embedded"`

	// StoreDir is the directory of its log, of this process alone. 64 MiB of its disk are left free: with less,
	// publishes are refused. Default fanfare-data.
	StoreDir string `koanf:"store_dir"`

	// Sync is os or always: whether messages that were answered survive a loss of power. Default os.
	Sync string `koanf:"sync"`

	// Listen is the host:port at which other NATS clients find it. Whoever reaches it may publish and
	// subscribe to everything, so without Password the host is loopback. Default none: no port is open.
	Listen string `koanf:"listen"`

	// Password is what those clients show, as the user fanfare. Default none.
	Password string `koanf:"password"`

	// URLs are the servers of a cluster, in place of Embedded. Default none.
	URLs []string `koanf:"urls"`

	// CredentialsFile has a JWT and an NKey seed. Default none.
	CredentialsFile string `koanf:"credentials_file"`

	// TLS is about the connections to URLs.
	TLS NATSTLSConfig `koanf:"tls"`

	// Stream is the JetStream stream of the log. Default FANFARE.
	Stream string `koanf:"stream"`

	// SubjectPrefix stands before the topic in a subject. Default fanfare.
	SubjectPrefix string `koanf:"subject_prefix"`

	// Replicas is on how many servers of the cluster each message is: 1, 3 or 5. Default 1.
	Replicas int `koanf:"replicas"`

	// Secret is what nodes sign with, 32 bytes or more. Without it, and with URLs, every other NATS
	// client can pretend to be one. Default none.
	Secret string `koanf:"secret"`

	// ApplyLimits shrinks a stream that is there to what HistoryConfig says, which removes messages.
	// Default false.
	ApplyLimits bool `koanf:"apply_limits"`
}

// NATSTLSConfig names files in PEM.
type NATSTLSConfig struct {
	// CAFile has the authorities for the servers' certificates. Default those of the system.
	CAFile string `koanf:"ca_file"`

	// CertFile and KeyFile are the certificate of this client and its key. Default none.
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

// newEngine makes the engine of the configuration, and says how large a message's data may be, in bytes.
func newEngine(ctx context.Context, c Config, logger *slog.Logger) (broker.Engine, int, error) {
	history := broker.History{
		MaxMessagesPerTopic: c.History.MaxMessagesPerTopic,
		MaxAge:              c.History.MaxAge,
		MaxBytes:            int64(c.History.MaxBytes),
		IdempotencyWindow:   c.History.IdempotencyWindow,
	}
	if c.Engine == engineMemory {
		return broker.NewMemory(history), int(c.Limits.MessageSize), nil
	}
	options := natsengine.Options{
		History:         history,
		MessageSize:     int(c.Limits.MessageSize),
		URLs:            c.NATS.URLs,
		CredentialsFile: c.NATS.CredentialsFile,
		TLS:             natsengine.TLS(c.NATS.TLS),
		Stream:          c.NATS.Stream,
		Prefix:          c.NATS.SubjectPrefix,
		Replicas:        c.NATS.Replicas,
		Secret:          c.NATS.Secret,
		ApplyLimits:     c.NATS.ApplyLimits,
		PublishWait:     c.Limits.PublishWait,
		Logger:          logger,
	}
	if c.NATS.Embedded {
		options.StoreDir = c.NATS.StoreDir
		options.SyncAlways = c.NATS.Sync == syncAlways
		options.Listen, options.Password = c.NATS.Listen, c.NATS.Password
		options.Replicas = 1
	}
	engine, err := natsengine.New(ctx, options)
	if err != nil {
		return nil, 0, err
	}
	if url := engine.GuestURL(); url != "" {
		logger.Info("nats_listening", "url", url)
	}
	if c.NATS.Embedded {
		return engine, engine.MaxMessageSize(), nil
	}
	return natsengine.NewNode(engine), engine.MaxMessageSize(), nil
}

// nats checks the section, as far as it means anything.
func (v *validator) nats(c Config) {
	n := c.NATS
	v.oneOf("nats.sync", n.Sync, syncOS, syncAlways)
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(n.Stream) {
		v.want("nats.stream", n.Stream, "a name of letters, digits, - and _, such as FANFARE")
	}
	if _, err := models.ParseTopic(n.SubjectPrefix); err != nil {
		v.want("nats.subject_prefix", n.SubjectPrefix, "dot-separated tokens as in a topic, such as fanfare")
	}
	if !slices.Contains([]int{1, 3, 5}, n.Replicas) {
		v.want("nats.replicas", n.Replicas, "1, 3 or 5")
	}
	if n.Secret != "" && len(n.Secret) < minSecret {
		v.mistake("nats.secret", errors.New("want 32 bytes or more, such as openssl rand -hex 32 prints"))
	}
	for _, text := range n.URLs {
		if u, err := url.Parse(text); err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			v.mistake("nats.urls", errors.New("want URLs such as nats://127.0.0.1:4222 or tls://nats.example.com:4222"))
		}
	}
	if n.TLS.CertFile == "" != (n.TLS.KeyFile == "") {
		v.want("nats.tls.cert_file", n.TLS.CertFile, "a certificate and nats.tls.key_file, or neither of the two")
	}
	v.natsListen(n)
	if c.Engine != engineNATS {
		return
	}
	if c.History.IdempotencyWindow < minWindow {
		v.want("history.idempotency_window", c.History.IdempotencyWindow, "10s or more with engine: nats, since half of it is how far clocks may be apart")
	}
	switch {
	case n.Embedded == (len(n.URLs) > 0):
		v.mistake("nats", errors.New("want embedded: true, for a log on this machine, or urls, for a cluster: one of the two"))
	case n.Embedded && n.StoreDir == "":
		v.want("nats.store_dir", "", "a directory")
	case !n.Embedded && c.Auth.isOn() && n.Secret == "":
		v.mistake("nats.secret", errors.New("want a secret, the same on all nodes: without one other NATS clients could publish in the name"+
			" of users; openssl rand -hex 32 prints one"))
	}
}

func (v *validator) natsListen(n NATSConfig) {
	if n.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(n.Listen)
	switch {
	case err != nil || !isPort(port):
		v.want("nats.listen", n.Listen, "HOST:PORT, such as 127.0.0.1:4222")
	case n.Password == "" && !isLoopback(host):
		v.want("nats.listen", n.Listen, "a loopback address, such as 127.0.0.1:"+port+", or nats.password: without it everyone who"+
			" reaches the port could publish and read everything")
	}
}
