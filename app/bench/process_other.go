//go:build !unix

package bench

import "math"

// cpuTime is not to be had here.
func cpuTime() float64 { return math.NaN() }

// maxFiles is not known here.
func maxFiles() int { return 0 }
