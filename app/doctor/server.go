package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"fanfare/app/remote"
	"fanfare/models"
)

// clockWarning is how far clocks may be apart: auth.jwt.leeway by default.
const clockWarning = 5 * time.Second

// server finds out whether it is a Fanfare that answers.
func (e *examination) server(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	begin := time.Now()
	header, protocol, err := e.Server.Greet(ctx)
	if err != nil {
		refusal, refused := errors.AsType[*remote.Refusal](err)
		switch {
		case refused && refusal.Code == "":
			e.bad("server", refusal.Detail, "Is the URL complete, with the path that a proxy may have for it?")
		case !refused && e.Server.URL.Scheme == "http" && !e.proxied && e.speaksTLS(context.WithoutCancel(ctx)):
			e.bad("server", "it speaks TLS", "Use https:// in place of http://")
		default:
			e.fails("server", err)
		}
		return false
	}
	text := "Fanfare, over " + protocol
	if via := header.Get("Via"); via != "" {
		text += fmt.Sprintf(", through the proxy %q", via)
	} else if server := header.Get("Server"); server != "" {
		text += fmt.Sprintf(", through the proxy %q", server)
	}
	e.good("server", "%s", text)
	e.clock(header.Get("Date"), begin.Add(time.Since(begin)/2))
	return true
}

// clock compares the server's clock, which tells seconds, with that of here at the same time.
func (e *examination) clock(date string, here time.Time) {
	there, err := http.ParseTime(date)
	if err != nil {
		e.note("clock", "the answer has no date: the clocks cannot be compared")
		return
	}
	if ahead := there.Sub(here); ahead > 0 {
		e.offset = ahead
	} else if behind := here.Sub(there) - time.Second; behind > 0 {
		e.offset = -behind
	}
	switch apart := e.offset.Abs().Round(time.Second); {
	case apart > clockWarning && e.offset > 0:
		e.warn("clock", fmt.Sprintf("the server's is %v ahead of the one here", apart), clockAdvice)
	case apart > clockWarning:
		e.warn("clock", fmt.Sprintf("the server's is %v behind the one here", apart), clockAdvice)
	default:
		e.good("clock", "the server's agrees with the one here")
	}
}

const clockAdvice = "Set the one that is wrong (NTP): tokens from a wrong clock expire too early, or are not valid yet"

// ready asks the probes.
func (e *examination) ready(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	for _, probe := range []string{"livez", "readyz"} {
		err := e.Server.Do(ctx, remote.Request{Method: http.MethodGet, Path: []string{probe}}, nil)
		refusal, refused := errors.AsType[*remote.Refusal](err)
		switch {
		case refused && refusal.Code == models.CodeShuttingDown:
			e.bad("ready", "the server is shutting down", "Wait until it is back")
			return false
		case refused && refusal.Code == models.CodeEngineUnavailable:
			e.bad("ready", "the server has lost its log: publishes fail", "Look at the NATS servers, at the disk and at the server's log")
			return true
		case err != nil:
			e.fails(probe, err)
			return !refused || refusal.Code == "" // a proxy may keep the probes to itself
		}
	}
	e.good("ready", "it wants traffic")
	return true
}
