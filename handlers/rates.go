package handlers

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"fanfare/models"
)

const (
	// maxBuckets bounds how many buckets of one kind are kept.
	maxBuckets = 100_000
	// refusalPause is what a refusal takes. Meanwhile nothing more of the connection is read, so
	// a flood over it comes to no more than a hundred refusals a second.
	refusalPause = 10 * time.Millisecond
)

// Rate is how often one caller may do something.
type Rate struct {
	// PerSecond is how often in the long run, 0 for no limit.
	PerSecond float64
	// Burst is how often at once, after a pause.
	Burst int
}

// rates has a token bucket for each user and, for strangers, for each network. Nil has no limit.
// Methods may be called concurrently.
type rates struct {
	// Set by newRates, never changed. fill is how long an empty bucket takes to be full.
	rate Rate
	what string
	fill time.Duration

	// mu guards the buckets: those that were used since the last turn, and those of the turn
	// before. What is not used for a whole turn is full, and as good as a new one, so it is
	// forgotten; or there are so many that whoever has them gains nothing by that.
	mu          sync.Mutex
	young, aged map[bucketKey]*rate.Limiter
	turned      time.Time
}

// bucketKey is whose a bucket is: a user's, or a network's.
type bucketKey struct {
	user    string
	network netip.Prefix
}

func bucketOf(by models.Caller) bucketKey {
	if by.User != "" {
		return bucketKey{user: by.User}
	}
	return bucketKey{network: models.Network(by.Address)}
}

// newRates limits what is named in the plural.
func newRates(r Rate, what string) *rates {
	if r.PerSecond == 0 {
		return nil
	}
	return &rates{
		rate:  r,
		what:  what,
		fill:  time.Duration(math.Ceil(float64(r.Burst) / r.PerSecond * float64(time.Second))),
		young: make(map[bucketKey]*rate.Limiter),
	}
}

// take is nil if the caller may do it once now. Otherwise it is CodeRateLimited, after a pause.
func (r *rates) take(by models.Caller) error {
	if r == nil {
		return nil
	}
	now := time.Now()
	bucket := r.bucket(by, now)
	if bucket.AllowN(now, 1) {
		return nil
	}
	missing := 1 - bucket.TokensAt(now)
	time.Sleep(refusalPause)
	return &models.Error{
		Code:       models.CodeRateLimited,
		Message:    fmt.Sprintf("you are limited to %g %s a second", r.rate.PerSecond, r.what),
		RetryAfter: max(time.Second, time.Duration(missing/r.rate.PerSecond*float64(time.Second))),
	}
}

// bucket gives the caller's, which is full if it is new.
func (r *rates) bucket(by models.Caller, now time.Time) *rate.Limiter {
	key := bucketOf(by)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) > r.fill || len(r.young) >= maxBuckets/2 {
		r.aged, r.young, r.turned = r.young, make(map[bucketKey]*rate.Limiter), now
	}
	bucket, found := r.young[key]
	if !found {
		if bucket, found = r.aged[key]; !found {
			bucket = rate.NewLimiter(rate.Limit(r.rate.PerSecond), r.rate.Burst)
		}
		r.young[key] = bucket
	}
	return bucket
}
