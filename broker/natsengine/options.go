package natsengine

import (
	"log/slog"
	"time"

	"fanfare/broker"
)

// Options configures an Engine. Either StoreDir is set, for a NATS server in this process, or URLs.
type Options struct {
	// History bounds the log, that of all nodes together. Keys of idempotency have no bound of their
	// own: JetStream remembers each for IdempotencyWindow, some 150 bytes each.
	History broker.History
	// MessageSize bounds a message's data as JSON text, in bytes. MaxMessageSize says what is left of it.
	MessageSize int

	// StoreDir is the directory of the log, of this process alone. It is made if it is not there. With less than
	// 64 MiB free on its disk, messages are refused.
	StoreDir string
	// SyncAlways has every message on the disk before it is answered: it survives a loss of power, and
	// takes some milliseconds. Otherwise it survives the end of the process, and a loss of power begins
	// a new epoch.
	SyncAlways bool
	// Listen is the HOST:PORT at which other NATS clients find the server in this process. Without it
	// no port is open.
	Listen string
	// Password is what those have to show, as the user fanfare. Without one everybody who reaches the address is let in.
	Password string

	// URLs are the servers of a cluster: nats://host:4222, or tls://. They may have a user and password,
	// or a token.
	URLs []string
	// CredentialsFile has a JWT and an NKey seed, as `nsc` writes them. Default none.
	CredentialsFile string
	// TLS is about the connections to the URLs.
	TLS TLS
	// Stream is the name of the JetStream stream, Prefix what subjects begin with.
	Stream, Prefix string
	// Replicas is on how many servers of the cluster each message is, 1, 3 or 5.
	Replicas int
	// Secret signs what the nodes send, so that nobody else can pretend to be one. All nodes have the
	// same. Without it, everybody can.
	Secret string

	// ApplyLimits has a stream that is there take the History's bounds, even where that removes messages.
	ApplyLimits bool
	// PublishWait is how long a publish waits for the answer of the log.
	PublishWait time.Duration
	// Logger gets what operators have to know.
	Logger *slog.Logger

	// space tells the bytes that are free for this process where a path is; nil for free. Tests set it.
	space func(path string) (uint64, error)
}

// TLS names files in PEM. All are optional.
type TLS struct {
	// CAFile has the authorities that the servers' certificates are checked against. Default the system's.
	CAFile string
	// CertFile and KeyFile have the certificate of this client, and its key.
	CertFile, KeyFile string
}

// embedded tells whether the server is in this process.
func (o Options) embedded() bool { return o.StoreDir != "" }
