//go:build unix

package bench

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what this process has used, in seconds, in user and system mode.
func cpuTime() float64 {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return math.NaN()
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// maxFiles is how many descriptors a process may have; 0 if that is not known. Go has
// raised the soft limit to the hard one at the start.
func maxFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}
