// Package doctor finds out what is wrong between here and a Fanfare.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"fanfare/app/remote"
	"fanfare/models"
)

// proxyGuide is where it is said what a proxy has to do.
const proxyGuide = "docs/guides/proxy.md has what a proxy needs"

// Level says how good a finding is.
type Level int

// The levels. Only Bad is a failure.
const (
	Good Level = iota
	Note
	Warning
	Bad
)

// Finding is what a check has found out.
type Finding struct {
	Level Level
	// Check names the check.
	Check string
	// Text is what was found, Advice what to do, if there is anything to be done.
	Text, Advice string
}

// Options is what to examine.
type Options struct {
	// Server is the one to examine. Its client is not used.
	Server *remote.Server
	// Transport connects to it.
	Transport *http.Transport
	// Patience is how long each step may take: more than the server is away, and less than a proxy buffers for.
	Patience time.Duration
	// Report is told what is found, as it is found.
	Report func(Finding)
}

// examination is a visit to one server.
type examination struct {
	Options
	// scratch is a token of topics that nobody else uses.
	scratch string

	failed int
	// offset is how far the server's clock is ahead, as far as that is known.
	offset time.Duration
	// proxied tells that a proxy of this side is between.
	proxied bool
	// access is what is known of who asks.
	access access
}

// Examine checks one thing after the other, as far as it goes, and gives how many of them are bad.
func Examine(ctx context.Context, o Options) int {
	o.Server = &remote.Server{URL: o.Server.URL, Token: o.Server.Token, Client: remote.NewClient(o.Transport)}
	e := &examination{Options: o, scratch: "fanfare-doctor-" + uuid.NewString()[:8]}
	defer o.Transport.CloseIdleConnections()
	for _, check := range []func(context.Context) bool{
		e.network, e.server, e.ready, e.token, e.webSocket, e.stream,
	} {
		if ctx.Err() != nil || !check(ctx) {
			break
		}
	}
	return e.failed
}

func (e *examination) good(check, format string, args ...any) {
	e.Report(Finding{Level: Good, Check: check, Text: fmt.Sprintf(format, args...)})
}

func (e *examination) note(check, format string, args ...any) {
	e.Report(Finding{Level: Note, Check: check, Text: fmt.Sprintf(format, args...)})
}

func (e *examination) warn(check, text, advice string) {
	e.Report(Finding{Level: Warning, Check: check, Text: text, Advice: advice})
}

func (e *examination) bad(check, text, advice string) {
	e.failed++
	e.Report(Finding{Level: Bad, Check: check, Text: text, Advice: advice})
}

// fails is bad for an error of the server, or of the way there.
func (e *examination) fails(check string, err error) {
	switch err := err.(type) { //nolint:errorlint // they are not wrapped
	case *remote.Unreachable:
		advice := err.Advice()
		if e.proxied {
			advice = "It may be the proxy that the environment names: HTTP_PROXY, HTTPS_PROXY, NO_PROXY"
		}
		e.bad(check, err.Reason(), advice)
	case *remote.Refusal:
		e.bad(check, err.Error(), adviceFor(err))
	default:
		e.bad(check, err.Error(), "")
	}
}

// adviceFor is what to do about a refusal.
func adviceFor(r *remote.Refusal) string {
	switch {
	case r.Code == models.CodeForbidden && strings.Contains(r.Detail, "proxy"):
		return "The server has no authentication, and a proxy is in front of it: that opens it to everybody. Set auth in its configuration; " + proxyGuide
	case r.Code == models.CodeForbidden && strings.Contains(r.Detail, "host"):
		return "The server is for its own machine. Behind a proxy, set server.trusted_proxies and auth; else use the URL http://localhost:PORT"
	case r.Code == models.CodeTooManyClients:
		return "Raise limits.clients, limits.clients_per_address or the number of open files on the server"
	case r.Code == models.CodeRateLimited:
		return "Wait a little and try again"
	default:
		return ""
	}
}

// within bounds a step.
func (e *examination) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return e.Server.Within(ctx, e.Patience)
}

// inMilliseconds is how long something has taken, for people.
func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
