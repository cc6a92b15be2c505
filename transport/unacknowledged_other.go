//go:build !linux

package transport

import (
	"net"
	"time"
)

// endUnacknowledged has the kernel ask a silent peer now and then, and end the connection
// when it has not answered for so long.
func endUnacknowledged(tcp *net.TCPConn, after time.Duration) {
	const probes = 4
	interval := max(after/(2*probes), time.Second)
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     max(after/2, time.Second),
		Interval: interval,
		Count:    probes,
	})
}
