//go:build race

package transport

import "syscall"

// writeNow writes to a socket that does not block, so that the race detector sees it.
func writeNow(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
