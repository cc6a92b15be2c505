package bench

import (
	"net"
	"syscall"
	"unsafe"
)

// directWrite gives the barest write(2) there is: without Go's poller, and without telling
// the scheduler. The socket must stay open, and does not block.
func directWrite(socket net.Conn) func(b []byte) int {
	none := func([]byte) int { return 0 }
	tcp, ok := socket.(*net.TCPConn)
	if !ok {
		return none
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return none
	}
	var descriptor uintptr
	if raw.Control(func(fd uintptr) { descriptor = fd }) != nil {
		return none
	}
	return func(b []byte) int {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, descriptor, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // b is alive
		if errno != 0 {
			return 0 // the ordinary write tells what it is
		}
		return int(n)
	}
}
