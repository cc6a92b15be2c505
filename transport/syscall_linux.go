//go:build !race

package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are raw system calls: as they never wait, the scheduler need not know of them. Told
// of even one, it wakes its monitor, which then looks around every 20 microseconds for a
// while; that costs more than the calls.

// writeNow writes to a socket that does not block.
func writeNow(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE,
		uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // that is how
	return result(n, errno)
}

// readNow reads from a socket that does not block.
func readNow(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ,
		uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // that is how
	return result(n, errno)
}

// pollNow takes what has happened from an epoll instance.
func pollNow(fd int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT,
		uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0) //nolint:gosec // that is how
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
