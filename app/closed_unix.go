//go:build unix

package app

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// closedInterval is how often it is looked whether nobody looks any more.
const closedInterval = 100 * time.Millisecond

// whenClosed calls a function when nobody reads any more what is written: of "sub | head -1" otherwise the next
// message would tell, which may never come. It looks until the context ends.
func whenClosed(ctx context.Context, w io.Writer, do func()) {
	file, ok := w.(*os.File)
	if !ok {
		return
	}
	descriptor := []unix.PollFd{{Fd: int32(file.Fd())}} //nolint:gosec // descriptors are small
	for ctx.Err() == nil {
		n, err := unix.Poll(descriptor, int(closedInterval.Milliseconds()))
		if err != nil && err != unix.EINTR {
			return
		}
		if n <= 0 {
			continue
		}
		if descriptor[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			do()
		}
		return // or it is nothing that can be looked at: a terminal, of some systems
	}
}
