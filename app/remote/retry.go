package remote

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"fanfare/models"
)

const (
	// firstPause is how long to wait before trying again; then twice as long, up to longestPause.
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// ratePause is how long to wait when it was too fast and nobody says for how long.
	ratePause = time.Second
	// soleAttempt is how long an attempt may take that is the only one.
	soleAttempt = 30 * time.Second
)

// Retry is trying again where that may help.
type Retry struct {
	// Timeout is for how long it is tried while nothing gets through; 0 is once.
	Timeout time.Duration
	// Trouble is told each time: why, and for how long it goes on.
	Trouble func(err error, patience time.Duration)

	// begin is when something got through last, pause how long to wait.
	begin time.Time
	pause time.Duration
}

// succeed begins anew: something got through.
func (r *Retry) succeed() {
	r.begin, r.pause = time.Now(), firstPause
}

// attempt is how long one attempt may take: one that hangs leaves time for another.
func (r *Retry) attempt() time.Duration {
	if r.Timeout == 0 {
		return soleAttempt
	}
	return r.Timeout / 2
}

// wait returns when it is time to try again after an error, or gives that error if it is final.
func (r *Retry) wait(ctx context.Context, err error) error {
	left := r.Timeout - time.Since(r.begin)
	if !isTransient(err) || left <= 0 || ctx.Err() != nil {
		return err
	}
	r.Trouble(err, left)
	timer := time.NewTimer(min(left, pauseAfter(err, r.pause)))
	defer timer.Stop()
	r.pause = min(2*r.pause, longestPause)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Await returns when a Fanfare answers.
func (s *Server) Await(ctx context.Context, r Retry) error {
	for r.succeed(); ; {
		attempt, cancel := s.Within(ctx, r.attempt())
		_, _, err := s.Greet(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if err := r.wait(ctx, err); err != nil {
			return err
		}
	}
}

// isTransient tells whether it may help to try again.
func isTransient(err error) bool {
	if u, ok := errors.AsType[*Unreachable](err); ok {
		return u.isTransient()
	}
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		return false
	}
	switch refusal.Status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// pauseAfter is how long to wait after an error: as long as the server says, or else about so long.
func pauseAfter(err error, pause time.Duration) time.Duration {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		switch {
		case refusal.RetryAfter > 0:
			return refusal.RetryAfter
		case refusal.Code == models.CodeRateLimited:
			return ratePause
		}
	}
	return pause/2 + rand.N(pause/2) //nolint:gosec // it is no secret
}
