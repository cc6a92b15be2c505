package handlers

import (
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"

	"fanfare/models"
)

// refusals writes down what is refused, some lines a second at most: whoever is refused must not
// be able to fill the log.
type refusals struct {
	limiter *rate.Limiter
	// omitted counts the lines that were left out since the last one.
	omitted atomic.Uint64
}

func newRefusals() *refusals { return &refusals{limiter: rate.NewLimiter(10, 100)} }

func (r *refusals) log(logger *slog.Logger, attrs ...any) {
	if !r.limiter.Allow() {
		r.omitted.Add(1)
		return
	}
	if omitted := r.omitted.Swap(0); omitted > 0 {
		attrs = append(attrs, "omitted_before", omitted)
	}
	logger.Warn("audit", append([]any{"outcome", "refused"}, attrs...)...)
}

// isRefusal tells whether a code says that the caller is not allowed to.
func isRefusal(code models.Code) bool {
	return code == models.CodeUnauthorized || code == models.CodeForbidden || code == models.CodeRateLimited
}
