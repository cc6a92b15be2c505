package models

import "net/netip"

// Network is what the limits of one address are of: an address (host:port, or the host alone)
// without its port, or its /64 if it is IPv6, since that is the least that one customer has. It
// is the zero prefix for what is no address.
func Network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return netip.Prefix{}
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	network, _ := ip.Prefix(bits) // without the zone
	return network
}
