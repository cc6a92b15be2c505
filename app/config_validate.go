package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fanfare/transport"
)

// frameOverhead is what a message may have around its data in a frame: names, ids, JSON.
const frameOverhead = 64 * KiB

// messageOverhead is what a message in flight may have around its data.
const messageOverhead = 1 * KiB

// validate returns everything that is wrong with the values, in the order of the keys.
func (c Config) validate() []error {
	var v validator
	v.address("server.address", c.Server.Address, c.Auth.isOn())
	for _, origin := range c.Server.AllowedOrigins {
		v.origin("server.allowed_origins", origin)
	}
	switch {
	case c.Server.TLS.CertFile == "" && c.Server.TLS.KeyFile != "":
		v.want("server.tls.cert_file", "", "the certificate to server.tls.key_file, or neither of the two")
	case c.Server.TLS.CertFile != "" && c.Server.TLS.KeyFile == "":
		v.want("server.tls.key_file", "", "the key to server.tls.cert_file, or neither of the two")
	}
	v.proxies("server.trusted_proxies", c.Server.TrustedProxies)
	if c.Server.DrainDelay < 0 {
		v.want("server.drain_delay", c.Server.DrainDelay, "0s or more")
	}
	v.positiveDuration("server.shutdown_timeout", c.Server.ShutdownTimeout)
	v.positiveDuration("server.header_timeout", c.Server.HeaderTimeout)
	v.positiveDuration("server.read_timeout", c.Server.ReadTimeout)
	v.positiveDuration("server.write_timeout", c.Server.WriteTimeout)
	v.positiveDuration("server.idle_timeout", c.Server.IdleTimeout)

	v.oneOf("transport.mode", string(c.Transport.Mode),
		string(transport.ModeAuto), string(transport.ModeEpoll), string(transport.ModeGoroutine))
	if c.Transport.Mode == transport.ModeEpoll && c.Server.TLS.enabled() {
		v.want("transport.mode", c.Transport.Mode, "auto or goroutine: epoll cannot be had with server.tls")
	}
	v.positiveDuration("transport.ping_interval", c.Transport.PingInterval)
	v.positiveDuration("transport.pong_timeout", c.Transport.PongTimeout)

	v.oneOf("engine", c.Engine, engineMemory, engineNATS)
	v.nats(c)
	v.positive("history.max_messages_per_topic", c.History.MaxMessagesPerTopic)
	v.positiveDuration("history.max_age", c.History.MaxAge)
	if c.History.MaxBytes-c.Limits.MessageSize <= frameOverhead {
		v.want("history.max_bytes", c.History.MaxBytes,
			fmt.Sprintf("more than limits.message_size (%v) and %v", c.Limits.MessageSize, frameOverhead))
	}
	v.positiveDuration("history.idempotency_window", c.History.IdempotencyWindow)

	v.positiveSize("limits.message_size", c.Limits.MessageSize)
	if c.Limits.OutboxSize-c.Limits.MessageSize <= frameOverhead {
		v.want("limits.outbox_size", c.Limits.OutboxSize,
			fmt.Sprintf("more than limits.message_size (%v) and %v", c.Limits.MessageSize, frameOverhead))
	}
	if c.Limits.Clients < 0 {
		v.want("limits.clients", c.Limits.Clients, "0 or more")
	}
	if c.Limits.ClientsPerAddress < 0 {
		v.want("limits.clients_per_address", c.Limits.ClientsPerAddress, "0 or more")
	}
	v.rate("limits.publish", c.Limits.PublishRate, c.Limits.PublishBurst)
	v.rate("limits.request", c.Limits.RequestRate, c.Limits.RequestBurst)
	v.positive("limits.subscriptions_per_client", c.Limits.SubscriptionsPerClient)
	if c.Limits.InFlightSize-c.Limits.MessageSize < messageOverhead {
		v.want("limits.in_flight_size", c.Limits.InFlightSize,
			fmt.Sprintf("at least limits.message_size (%v) and %v", c.Limits.MessageSize, messageOverhead))
	}
	v.positiveDuration("limits.publish_wait", c.Limits.PublishWait)
	if c.Limits.PublishWait >= c.Server.ShutdownTimeout {
		v.want("limits.publish_wait", c.Limits.PublishWait,
			fmt.Sprintf("less than server.shutdown_timeout (%v), which waits for publishers", c.Server.ShutdownTimeout))
	}

	v.auth(c.Auth)

	v.tracing(c.Tracing)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "text", "json")
	if v.help != "" {
		v.mistakes = append(v.mistakes, errors.New(v.help))
	}
	return v.mistakes
}

// validator gathers mistakes, so that all are reported together.
type validator struct {
	mistakes []error
	// help comes behind them.
	help string
}

// want adds a mistake: the key's value is not what is wanted.
func (v *validator) want(key string, value any, want string) {
	v.mistake(key, wantError(value, want))
}

func (v *validator) positive(key string, n int) {
	if n <= 0 {
		v.want(key, n, "1 or more")
	}
}

func (v *validator) positiveDuration(key string, d time.Duration) {
	if d <= 0 {
		v.want(key, d, "a duration above 0s")
	}
}

func (v *validator) positiveSize(key string, size ByteSize) {
	if size <= 0 {
		v.want(key, size, "a size above 0")
	}
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.want(key, value, "one of "+strings.Join(allowed, ", "))
	}
}

// address checks that only this machine can reach the listener if there is no authentication.
func (v *validator) address(key, address string, authenticates bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		v.want(key, address, "HOST:PORT, such as 127.0.0.1:8080")
		return
	}
	if !isPort(port) {
		v.want(key, address, "a port from 0 to 65535, such as 127.0.0.1:8080")
		return
	}
	if !authenticates && !isLoopback(host) {
		v.want(key, address, "a loopback address, such as 127.0.0.1:"+port+", or authentication: without it everyone"+
			" who reaches the server could publish, read and disconnect others")
		v.help = strings.ReplaceAll(openDoorHelp, "PORT", port)
	}
}

// openDoorHelp is what to write into the configuration to be reached by others.
const openDoorHelp = `
For authentication put this into config.yaml, for programs and yourself:

auth:
  api_keys:
    - name: me
      hash: HASH # of a new key: fanfare key hash --generate
      subscribe: [">"]
      publish: [">"]
      admin: true

or this, for users whom your own server signs tokens for:

` + jwtHelp + `

or, beside them or alone, what strangers may do:

auth:
  anonymous:
    subscribe: ["public.>"]
    publish: []

Or listen on loopback, --address 127.0.0.1:PORT, and reach it from elsewhere through an SSH tunnel:
ssh -L 8080:127.0.0.1:PORT HOST`

// jwtHelp are the lines of that for tokens.
const jwtHelp = `auth:
  jwt:
    algorithms: [HS256]
    key_file: jwt.key # a new secret: openssl rand -hex 32 > jwt.key`

// isLoopback reports whether a listener on the host is out of reach for other machines. Names
// other than localhost can resolve to anything.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// origin checks for the exact text that a browser sends as Origin, since it is compared as text.
func (v *validator) origin(key, origin string) {
	u, err := url.Parse(origin)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" ||
		!strings.EqualFold(origin, u.Scheme+"://"+u.Host) || strings.ContainsAny(origin, "*,") ||
		(u.Port() != "" && !isPort(u.Port())):
		v.want(key, origin, "scheme://host or scheme://host:port with http or https and"+
			" without path, user or wildcard, such as https://app.example.com")
	case strings.ContainsFunc(origin, func(r rune) bool { return r > unicode.MaxASCII }):
		v.want(key, origin, "the host in ASCII, as a browser sends it: https://xn--...")
	case origin != browserOrigin(u):
		v.want(key, origin, "the origin as a browser sends it: "+browserOrigin(u))
	}
}

// browserOrigin returns the origin of a page at u: in lower case, without the scheme's own port.
func browserOrigin(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Host), ":")
	if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else {
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + host
}
