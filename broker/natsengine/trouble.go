package natsengine

import (
	"log/slog"
	"sync/atomic"
)

// trouble logs that the log is away when it goes, and not again until it is back. Its methods may be called
// concurrently.
type trouble struct {
	logger *slog.Logger
	is     atomic.Bool
}

func (t *trouble) note(what string, err error) {
	if !t.is.Swap(true) {
		t.logger.Warn("engine_unavailable", "while", what, "error", err)
	}
}

func (t *trouble) over() {
	if t.is.Load() && t.is.Swap(false) {
		t.logger.Info("engine_available")
	}
}
