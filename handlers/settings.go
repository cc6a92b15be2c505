package handlers

import (
	"net/netip"

	"fanfare/handlers/auth"
)

// Settings are what may change while the server runs. The zero value is for this machine alone.
type Settings struct {
	// Auth knows the callers. Without it there is no authentication, and whoever reaches the
	// server may do everything: it has to be out of reach for others.
	Auth *auth.Authenticator
	// AllowedOrigins may use the server from a browser, besides its own pages. Each is
	// scheme://host[:port], in lower case.
	AllowedOrigins []string
	// LocalHosts tells that the server is for this machine alone, so that requests to other names
	// are refused. Without Auth they always are.
	LocalHosts bool
	// TrustedProxies may say where requests come from, by X-Forwarded-For, and by which scheme,
	// by X-Forwarded-Proto. Whoever has such an address can pretend to be anywhere.
	TrustedProxies []netip.Prefix
	// Requests limits HTTP requests and frames of /ws, Publishes the messages that are offered,
	// of each user or, if there is no user, each models.Network.
	Requests, Publishes Rate
}

// settings is Settings in use. It never changes.
type settings struct {
	Settings
	// requests and publishes are those of Settings; foreign is what the guard refuses, at the rate of
	// requests, too.
	requests, publishes, foreign *rates
}

// apply has other settings from now on. A rate that stays the same goes on from where it is. It must not be called
// concurrently.
func (a *api) apply(s Settings) {
	next := &settings{Settings: s}
	before := a.current.Load()
	if before != nil && before.Requests == s.Requests {
		next.requests, next.foreign = before.requests, before.foreign
	} else {
		next.requests, next.foreign = newRates(s.Requests, "requests and frames"), newRates(s.Requests, "requests")
	}
	if before != nil && before.Publishes == s.Publishes {
		next.publishes = before.publishes
	} else {
		next.publishes = newRates(s.Publishes, "messages")
	}
	a.current.Store(next)
}
