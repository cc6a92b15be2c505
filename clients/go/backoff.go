package fanfare

import (
	"math/rand/v2"
	"time"
)

const (
	// firstPause is the longest pause after the first failure. Each one doubles it, up to lastPause.
	firstPause = 250 * time.Millisecond
	lastPause  = 20 * time.Second
	// askPause is the same for a request that is refused for now: the protocol wants a second or more.
	askPause = 2 * time.Second
)

// backoff counts failures in a row, and spreads what many clients do after them.
type backoff struct {
	first    time.Duration
	failures int
}

// next gives the pause after one more failure.
func (b *backoff) next() time.Duration {
	pause := min(lastPause, b.first<<min(b.failures, 16))
	b.failures++
	return pause/2 + rand.N(pause/2+1) //nolint:gosec // only to spread
}

func (b *backoff) reset() { b.failures = 0 }
