package transport

import (
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// endUnacknowledged has the kernel end a connection whose peer has not acknowledged what
// was written, or has had no room for it, for so long (TCP_USER_TIMEOUT, RFC 5482).
func endUnacknowledged(tcp *net.TCPConn, after time.Duration) {
	_ = tcp.SetKeepAlive(false)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	milliseconds := int(min(max(after.Milliseconds(), 1), math.MaxInt32))
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds)
	})
}
