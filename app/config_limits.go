package app

import (
	"math"

	"fanfare/handlers"
)

// What a rate may be, if it is set, and a burst at most: between them a bucket is full in a
// time that can be counted.
const (
	minRate  = 0.001
	maxRate  = 1_000_000
	maxBurst = 1_000_000
)

// newRate is what two keys say. Without a burst, it is what comes in a second.
func newRate(perSecond float64, burst int) handlers.Rate {
	if burst == 0 {
		burst = int(math.Ceil(perSecond))
	}
	return handlers.Rate{PerSecond: perSecond, Burst: burst}
}

// rate checks a pair of keys.
func (v *validator) rate(key string, perSecond float64, burst int) {
	if perSecond != 0 && !(perSecond >= minRate && perSecond <= maxRate) { // not a number is neither
		v.want(key+"_rate", perSecond, "0, or a number from 0.001 to 1000000")
	}
	switch {
	case burst < 0 || burst > maxBurst:
		v.want(key+"_burst", burst, "a number from 0 to 1000000")
	case burst > 0 && perSecond == 0:
		v.want(key+"_burst", burst, "0 without "+key+"_rate")
	}
}
