//go:build race

package transport

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// These are the same as without the race detector, but it sees what they do: the client of
// a test reads after the server wrote.

func writeNow(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }

func readNow(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

func pollNow(fd int, events []unix.EpollEvent) (int, error) { return unix.EpollWait(fd, events, 0) }
