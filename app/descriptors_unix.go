//go:build unix

package app

import (
	"math"
	"syscall"
)

// descriptorLimit is how many descriptors the process may have, 0 for no limit. Go has
// raised it at the start to what the system allows.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
