package app

import "net/netip"

// parseProxy reads an address or a network. Those that no peer's address is compared with are none.
func parseProxy(text string) (proxy netip.Prefix, ok bool) {
	proxy, err := netip.ParsePrefix(text)
	if address, notOne := netip.ParseAddr(text); notOne == nil && address.Zone() == "" {
		proxy, err = address.Prefix(address.BitLen())
	}
	return proxy, err == nil && !proxy.Addr().Is4In6()
}

// parseProxies reads those of a configuration that is valid.
func parseProxies(texts []string) (proxies []netip.Prefix) {
	for _, text := range texts {
		if proxy, ok := parseProxy(text); ok {
			proxies = append(proxies, proxy)
		}
	}
	return proxies
}

func (v *validator) proxies(key string, texts []string) {
	for _, text := range texts {
		if _, ok := parseProxy(text); !ok {
			v.want(key, text, "an address or a network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32")
		}
	}
}
