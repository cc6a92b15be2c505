package app

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"fanfare/models"
)

func (c command) configCommand() *cobra.Command {
	return groupCommand("config", "Check the configuration", c.configCheckCommand())
}

func (c command) configCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration without starting the server",
		Long: `Check the configuration without starting the server, and say what it would do. The configuration is that of
"fanfare serve" in the same place: the file and the environment. The exit status is 0 if the server
would start with it, whatever the warnings, and 1 if not.`,
		Example: `  fanfare config check
  fanfare config check --config /etc/fanfare/config.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sources, err := c.configSources(cmd)
			if err != nil {
				return err
			}
			cfg, err := LoadConfig(sources)
			if err != nil {
				return err
			}
			if cfg.Server.TLS.enabled() {
				if _, err := loadCertificate(cfg.Server.TLS, slog.New(slog.DiscardHandler)); err != nil {
					return err
				}
			}
			return describeConfig(c.stdout, sources.file(), cfg)
		},
	}
	addConfigFlag(cmd)
	return cmd
}

// describeConfig says what a server would do, with no secret in it.
func describeConfig(w io.Writer, file string, cfg Config) error {
	var r report
	r.row("file", cmp.Or(file, "none"))
	r.row("address", cfg.Server.Address)
	r.row("TLS", cmp.Or(cfg.Server.TLS.CertFile, "off"))
	r.row("engine", cfg.describeEngine())
	if a := cfg.Auth; a.isOn() {
		r.row("authentication", "on")
		r.row("tokens", a.JWT.describe())
		names := make([]string, 0, len(a.APIKeys))
		for _, k := range a.APIKeys {
			names = append(names, k.Name)
		}
		r.row("API keys", cmp.Or(strings.Join(names, ", "), "none"))
		r.row("strangers", "subscribe to "+listed(a.Anonymous.Subscribe)+"; publish to "+listed(a.Anonymous.Publish))
	} else {
		r.row("authentication", "off: whoever reaches the server may do everything")
	}
	for i, warning := range warnings(cfg) {
		if i == 0 {
			r.line("")
		}
		r.line("warning: %s", warning)
	}
	return r.print(w)
}

// describeEngine says where the log is. URLs may have passwords, so there is only how many there are.
func (c Config) describeEngine() string {
	switch {
	case c.Engine == engineMemory:
		return "memory: the log ends with the process"
	case c.NATS.Embedded:
		return "nats, embedded: the log is in " + c.NATS.StoreDir
	default:
		return fmt.Sprintf("nats: the log is the stream %s on a cluster, nats.urls has %d", c.NATS.Stream, len(c.NATS.URLs))
	}
}

// listed names topics and patterns.
func listed[T ~string](patterns []T) string {
	texts := make([]string, 0, len(patterns))
	for _, p := range patterns {
		texts = append(texts, string(p))
	}
	return cmp.Or(strings.Join(texts, ", "), "nothing")
}

func (c JWTConfig) describe() string {
	if !c.isOn() {
		return "none"
	}
	text := "of " + strings.Join(c.Algorithms, ", ") + "; "
	switch {
	case c.JWKSURL != "":
		text += "keys from " + c.redactedURL()
	case c.KeyFile != "":
		text += "key in " + c.KeyFile
	default:
		text += "key in auth.jwt.key"
	}
	return text + "; issuer " + cmp.Or(c.Issuer, "any") + "; audience " + cmp.Or(c.Audience, "any")
}

// redactedURL is that of the JWKS without a password.
func (c JWTConfig) redactedURL() string {
	u, err := url.Parse(c.JWKSURL)
	if err != nil {
		return "auth.jwt.jwks_url" // it was checked
	}
	return u.Redacted()
}

// clusterHistory is how many messages of a topic the log should keep for nodes that are behind.
const clusterHistory = 1000

// warnings tells of what is allowed, and more than most want.
func warnings(cfg Config) (found []string) {
	for _, scope := range []struct {
		patterns []string
		what     string
	}{
		{cfg.Auth.Anonymous.Publish, "auth.anonymous.publish has >: whoever reaches the server may publish to every topic"},
		{cfg.Auth.Anonymous.Subscribe, "auth.anonymous.subscribe has >: whoever reaches the server may read every topic"},
	} {
		if slices.Contains(scope.patterns, models.AnyTail) {
			found = append(found, scope.what)
		}
	}
	if cfg.Auth.JWT.JWKSURL != "" && cfg.Auth.JWT.Audience == "" {
		found = append(found, "auth.jwt.audience is not set: tokens that were made for other services are taken, if their keys are in the same place")
	}
	for _, everybody := range []string{"0.0.0.0/0", "::/0"} {
		if slices.Contains(cfg.Server.TrustedProxies, everybody) {
			found = append(found, "server.trusted_proxies has "+everybody+": everybody may pretend to come from anywhere")
		}
	}
	if cfg.Engine == engineNATS && !cfg.NATS.Embedded {
		if cfg.NATS.Secret == "" {
			found = append(found, "nats.secret is not set: every other NATS client can pretend to be a node")
		}
		if cfg.History.MaxMessagesPerTopic < clusterHistory {
			found = append(found, fmt.Sprintf("history.max_messages_per_topic is below %d: messages wait in the log for the nodes, and one that is"+
				" behind by more of a topic has lost some", clusterHistory))
		}
	}
	if host, _, err := net.SplitHostPort(cfg.Server.Address); err == nil && !isLoopback(host) && !cfg.Server.TLS.enabled() {
		found = append(found, "server.address can be reached by others, without TLS: tokens and messages can be read on"+
			" the way, unless there is a proxy with TLS in front and nobody gets past it")
	}
	return found
}
