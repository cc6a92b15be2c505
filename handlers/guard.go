package handlers

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// guard stands before every route. A browser's request from another origin is refused,
// whatever it does; only following a link to one of the server's pages is not.
//
// Without authentication, and on a server that is for this machine alone, the Host must be
// loopback, or a foreign name that was pointed at this address (DNS rebinding) would make its
// pages "same origin". Without authentication a request that a proxy forwarded is refused, too:
// it may come from anywhere.
func (a *api) guard(c *fiber.Ctx) error {
	err := a.refusal(c)
	if err == nil {
		return c.Next()
	}
	// They have a bucket of their own: what a page does must not be charged to its reader.
	if limited := a.current.Load().foreign.take(caller(c)); limited != nil {
		return limited
	}
	return err
}

// refusal is why the guard does not let a request in, or nil.
func (a *api) refusal(c *fiber.Ctx) error {
	s := a.current.Load()
	switch {
	// The first is the request target's, if that names one.
	case (s.Auth == nil || s.LocalHosts) && !s.isLocalHost(c.Context().Host(), c.Request().Header.Host()):
		return forbidden("the Host must be localhost or a loopback address; behind a proxy, see server.trusted_proxies")
	case s.Auth == nil && isForwarded(c):
		return forbidden("without authentication, requests through a proxy are refused")
	case !a.isFriendlyOrigin(c) && !isLinkToPage(c):
		return forbidden("requests of pages from another origin are refused; see server.allowed_origins")
	default:
		return nil
	}
}

func forbidden(message string) error {
	return models.Errorf(models.CodeForbidden, "%s", message)
}

// isLocalHost tells whether the hosts are all names of this machine. Without authentication there has
// to be one; a browser always has.
func (s *settings) isLocalHost(hosts ...[]byte) bool {
	for _, host := range hosts {
		if !isLoopbackHost(host) && (s.Auth == nil || len(host) > 0) {
			return false
		}
	}
	return true
}

func isLoopbackHost(host []byte) bool {
	name := string(host)
	if withoutPort, _, err := net.SplitHostPort(name); err == nil {
		name = withoutPort
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.IsLoopback() && address.Zone() == ""
}

// isForwarded tells whether a proxy has left its mark. fasthttp has brought the names
// into this spelling.
func isForwarded(c *fiber.Ctx) bool {
	for name := range c.Request().Header.All() {
		switch string(name) {
		case "Forwarded", "Via", "X-Real-Ip":
			return true
		}
		if bytes.HasPrefix(name, []byte("X-Forwarded-")) {
			return true
		}
	}
	return false
}

// isFriendlyOrigin tells whether the request is of no page, of one of the server's own
// or of one from an allowed origin. The values are compared as browsers send them.
func (a *api) isFriendlyOrigin(c *fiber.Ctx) bool {
	header := &c.Request().Header
	switch origins := header.PeekAll(fiber.HeaderOrigin); len(origins) {
	case 0:
	case 1:
		origin := string(origins[0]) // before another header is looked for, which takes its place
		own := a.schemeOf(c) + "://" + string(c.Context().Host())
		return origin == own || slices.Contains(a.current.Load().AllowedOrigins, origin)
	default: // no browser does that
		return false
	}
	for _, site := range header.PeekAll("Sec-Fetch-Site") {
		if string(site) != "none" && string(site) != "same-origin" {
			return false
		}
	}
	return true
}

// isLinkToPage tells whether somebody followed a link to one of the pages, in a tab of
// its own. That neither reads nor changes anything.
func isLinkToPage(c *fiber.Ctx) bool {
	isPage := c.Path() == "/" || c.Path() == "/swagger" || c.Path() == "/swagger/"
	return isPage && c.Method() == fiber.MethodGet && c.Get(fiber.HeaderOrigin) == "" &&
		c.Get("Sec-Fetch-Mode") == "navigate" && c.Get("Sec-Fetch-Dest") == "document"
}
