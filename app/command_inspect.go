package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fanfare/handlers/auth"
	"fanfare/models"
)

// question is what somebody might be allowed to do.
type question struct {
	publish   []models.Topic
	subscribe []models.Pattern
	admin     bool
}

func (c command) tokenInspectCommand() *cobra.Command {
	var publish, subscribe []string
	var admin bool
	cmd := &cobra.Command{
		Use:   "inspect [TOKEN|-]",
		Short: "Show what a token says, and whether the server takes it",
		Long: `Show what a token or API key says, whether the configured server takes it, and whether it is enough for what is
asked with --publish, --subscribe and --admin. Where not, say why and what to do.

The token is read from standard input, one line, if it is not an argument: there it need not stand in
the shell's history. The exit status is 0 if the server takes it and all that was asked is allowed.`,
		Example: `  fanfare token inspect <token.txt
  fanfare token mint --user ada --subscribe 'news.>' | fanfare token inspect --subscribe 'news.*'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := parseQuestion(publish, subscribe, admin)
			if err != nil {
				return usageError{err}
			}
			cfg, err := c.loadConfig(cmd)
			if err != nil {
				return err
			}
			credential, err := readCredential(args, cmd.InOrStdin())
			if err != nil {
				return err
			}
			by, reason, err := authenticate(cmd.Context(), cfg.Auth, NewLogger(c.stderr, cfg.Log), credential)
			if err != nil {
				return err
			}
			text, answer := inspect(cfg.Auth.JWT, credential, by, reason, asked)
			if _, err := io.WriteString(c.stdout, text); err != nil {
				return err
			}
			return answer
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&publish, "publish", nil, "ask whether it may publish to `TOPIC`; may be repeated")
	flags.StringArrayVar(&subscribe, "subscribe", nil, "ask whether it may listen to `PATTERN`; may be repeated")
	flags.BoolVar(&admin, "admin", false, "ask whether it may list, purge and disconnect")
	addConfigFlag(cmd)
	return cmd
}

func parseQuestion(publish, subscribe []string, admin bool) (q question, err error) {
	q.admin = admin
	if q.publish, err = parseFlag("--publish", publish, models.ParseTopic); err == nil {
		q.subscribe, err = parseFlag("--subscribe", subscribe, models.ParsePattern)
	}
	return q, err
}

// readCredential gives the argument or, without one or for -, what is on standard input.
func readCredential(args []string, stdin io.Reader) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	line, err := readLine(stdin)
	if err == nil && line == "" {
		err = errors.New("there is no token on standard input")
	}
	return line, err
}

// authenticate gives whose credential it is to a server with the configuration, or the reason
// why it refuses it.
func authenticate(ctx context.Context, c AuthConfig, logger *slog.Logger, credential string) (models.Caller, auth.Reason, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the refreshing of a JWKS
	defer cancel()
	authenticator, err := newAuthenticator(ctx, c, logger)
	if err != nil {
		return models.Caller{}, "", err
	}
	if authenticator == nil {
		return models.Caller{}, auth.ReasonUnknownKey, nil
	}
	by, err := authenticator.Authenticate(credential)
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return models.Caller{}, refused.Reason, nil
	}
	return by, "", err
}

// inspect tells about a credential. The error is the short answer, nil if all is well.
func inspect(c JWTConfig, credential string, by models.Caller, reason auth.Reason, asked question) (string, error) {
	var r report
	taken := reason == ""
	token, malformed := auth.Inspect(credential)
	scopes, _ := token.Grant.Scopes() // what is wrong with them is a reason
	if taken {
		scopes = *by.Scopes
	}
	switch {
	case malformed == nil:
		r.token(token)
	case taken:
		r.row("API key of", by.User)
		r.grant(listed(scopes.Publish), listed(scopes.Subscribe), scopes.Admin)
	}
	switch {
	case taken:
		r.line("The server takes it.")
	case c.isOn():
		r.line("The server refuses it (%s): %s.", reason, c.refusal(reason))
	default:
		r.line("Nothing can be verified: it is no API key of this configuration, which has no auth.jwt for tokens.")
	}
	allowed := r.answer(asked, scopes, taken)
	switch {
	case taken && allowed:
		return r.text.String(), nil
	case taken:
		return r.text.String(), errors.New("it may not do all that was asked")
	case c.isOn():
		return r.text.String(), errors.New("the server refuses it")
	default:
		return r.text.String(), errors.New("nothing can be verified")
	}
}

// token shows what a token says.
func (r *report) token(t auth.Token) {
	r.row("algorithm", cmp.Or(t.Algorithm, "none"))
	r.row("key id", cmp.Or(t.KeyID, "none"))
	r.row("user", cmp.Or(t.User, "none"))
	r.row("issuer", cmp.Or(t.Issuer, "none"))
	r.row("audience", cmp.Or(strings.Join(t.Audience, ", "), "none"))
	r.row("issued", moment(t.Issued))
	r.row("not before", moment(t.NotBefore))
	r.row("expires", moment(t.Expires))
	r.grant(listed(t.Grant.Publish), listed(t.Grant.Subscribe), t.Grant.Admin)
}

// grant shows the scopes, and ends what is shown.
func (r *report) grant(publish, subscribe string, admin bool) {
	r.row("publish", publish)
	r.row("subscribe", subscribe)
	r.row("admin", strconv.FormatBool(admin))
	r.line("")
}

// moment is a time for people: where they are, and how far away.
func moment(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.Local().Format(time.RFC3339) + ", " + distance(time.Until(t))
}

// distance is in the largest unit that fits, of which there is one at least: "in 59m", "12m ago".
func distance(d time.Duration) string {
	length := d.Abs()
	text := fmt.Sprintf("%ds", length/time.Second)
	switch {
	case length >= 24*time.Hour:
		text = fmt.Sprintf("%dd", length/(24*time.Hour))
	case length >= time.Hour:
		text = fmt.Sprintf("%dh", length/time.Hour)
	case length >= time.Minute:
		text = fmt.Sprintf("%dm", length/time.Minute)
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

// refusal says why a token is refused, and what to do.
func (c JWTConfig) refusal(reason auth.Reason) string {
	switch reason {
	case auth.ReasonMalformed:
		return `it is neither an API key of this configuration nor a token that can be read: three parts of base64url with dots` +
			` between them, 8 KiB at most, without "crit" in its header. Take all of it, and without "Bearer"`
	case auth.ReasonUnknownKey:
		return "none of the keys from " + c.redactedURL() + " is its own, or they cannot be had from here. Sign with one of them, and say which: its" +
			` key id ("kid")`
	case auth.ReasonAlgorithm:
		return "auth.jwt.algorithms has " + strings.Join(c.Algorithms, ", ") + ". Sign with one of these"
	case auth.ReasonSignature:
		return "it was not signed with the key that auth.jwt has, or was changed since. Sign with the same secret, or with the private key" +
			" that belongs to the public key"
	case auth.ReasonExpired:
		return "its time is up. Sign another one"
	case auth.ReasonNotYetValid:
		return fmt.Sprintf("its time has not come. Wait, or set the clock that was wrong; auth.jwt.leeway (%v) is how far clocks may be apart", c.Leeway)
	case auth.ReasonIssuer:
		return fmt.Sprintf(`auth.jwt.issuer wants the issuer ("iss") %q. Sign one with that`, c.Issuer)
	case auth.ReasonAudience:
		return fmt.Sprintf(`auth.jwt.audience wants the audience ("aud") to have %q. Sign one with that`, c.Audience)
	case auth.ReasonClaims:
		wanted := `an expiry ("exp"), a user ("sub") of 1 to 255 bytes without control characters, and in "fanfare" nothing but topics and patterns`
		if c.Audience != "" {
			wanted = fmt.Sprintf(`the audience ("aud") %q, `, c.Audience) + wanted
		}
		if c.Issuer != "" {
			wanted = fmt.Sprintf(`the issuer ("iss") %q, `, c.Issuer) + wanted
		}
		return "it has to have " + wanted + ". Sign one that has"
	default:
		return "ask who runs the server"
	}
}

// answer tells what is allowed of what is asked, and whether that is all.
func (r *report) answer(asked question, scopes models.Scopes, taken bool) bool {
	all := true
	tell := func(what string, covered bool, why string) {
		all = all && covered && taken
		switch {
		case taken && covered:
			r.line("It may %s.", what)
		case taken:
			r.line("It may not %s: %s.", what, why)
		case covered:
			r.line("It may not %s: it is refused, though its scopes are enough.", what)
		default:
			r.line("It may not %s: it is refused, and %s.", what, why)
		}
	}
	for _, topic := range asked.publish {
		tell("publish to "+string(topic), scopes.MayPublish(topic), uncovered(scopes.Publish, models.Pattern(topic)))
	}
	for _, pattern := range asked.subscribe {
		tell("listen to "+string(pattern), scopes.MaySubscribe(pattern), uncovered(scopes.Subscribe, pattern))
	}
	if asked.admin {
		tell("list, purge and disconnect", scopes.Admin, "that takes admin")
	}
	return all
}

// uncovered says what is missing where no scope covers a topic or pattern.
func uncovered(scopes []models.Pattern, wanted models.Pattern) string {
	var nearest models.Pattern
	var most int
	var parts []string
	for _, scope := range scopes {
		tokens, overlap := inCommon(scope, wanted)
		if tokens > most {
			nearest, most = scope, tokens
		}
		if overlap {
			parts = append(parts, string(scope))
		}
	}
	switch {
	case len(parts) > 1:
		return "no scope covers all of it; " + strings.Join(parts, ", ") + " cover parts of it, and even if they cover it together, that does not count"
	case len(parts) == 1:
		return "no scope covers all of it; " + parts[0] + " covers a part"
	case most > 0:
		return "no scope covers it; the nearest is " + string(nearest)
	default:
		return "no scope covers it"
	}
}

// inCommon counts the tokens at the beginning of two patterns that agree, and tells whether
// there is a topic that matches both.
func inCommon(a, b models.Pattern) (tokens int, overlap bool) {
	as, bs := strings.Split(string(a), "."), strings.Split(string(b), ".")
	for i := range min(len(as), len(bs)) {
		switch {
		case as[i] == models.AnyTail || bs[i] == models.AnyTail:
			return i + 1, true
		case as[i] != bs[i] && as[i] != models.AnyToken && bs[i] != models.AnyToken:
			return i, false
		}
	}
	return min(len(as), len(bs)), len(as) == len(bs)
}
