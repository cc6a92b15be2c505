package handlers

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"fanfare/models"
)

// locate finds out where the request comes from. Who sends it is not known yet.
func (a *api) locate(c *fiber.Ctx) error {
	c.Locals(callerKey, models.Caller{Address: a.addressOf(c)})
	return c.Next()
}

// addressOf gives the address of the request's peer or, if that is a trusted proxy, the one that
// X-Forwarded-For has for it. Each proxy adds its own peer at the end, so what is before the last
// address that no trusted proxy has can be anything.
func (a *api) addressOf(c *fiber.Ctx) string {
	peer, isTrusted := a.proxy(c)
	if !isTrusted {
		return c.Context().RemoteAddr().String()
	}
	address := peer
	for _, text := range slices.Backward(forwarded(c, fiber.HeaderXForwardedFor)) {
		hop, err := parseHop(text)
		if err != nil {
			break
		}
		if address = hop; !a.trusts(address) {
			break
		}
	}
	return address.String()
}

// forwarded gives the entries of a header that proxies add to, in their order.
func forwarded(c *fiber.Ctx, name string) (entries []string) {
	for _, header := range c.Request().Header.PeekAll(name) {
		for entry := range strings.SplitSeq(string(header), ",") {
			entries = append(entries, strings.TrimSpace(entry))
		}
	}
	return entries
}

// parseHop reads an entry of X-Forwarded-For. Some proxies write the port as well.
func parseHop(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), err
}

// schemeOf is how the client speaks to the server, or to the trusted proxy before it.
func (a *api) schemeOf(c *fiber.Ctx) string {
	if _, isTrusted := a.proxy(c); isTrusted {
		schemes := forwarded(c, fiber.HeaderXForwardedProto)
		if len(schemes) > 0 && schemes[len(schemes)-1] == "https" {
			return "https"
		}
	}
	if c.Context().IsTLS() { // Fiber's Protocol would believe what its header says
		return "https"
	}
	return "http"
}

// proxy gives the request's peer, and whether it is a trusted proxy.
func (a *api) proxy(c *fiber.Ctx) (peer netip.Addr, isTrusted bool) {
	tcp, ok := c.Context().RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	peer = tcp.AddrPort().Addr().Unmap().WithZone("")
	return peer, a.trusts(peer)
}

func (a *api) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(a.current.Load().TrustedProxies, func(p netip.Prefix) bool { return p.Contains(address) })
}
