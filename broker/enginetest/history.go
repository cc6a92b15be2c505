package enginetest

import (
	"time"

	"fanfare/broker"
)

// Generous is a History that retains whatever a test publishes.
func Generous() broker.History {
	return broker.History{
		MaxMessagesPerTopic: 1 << 20,
		MaxAge:              time.Hour,
		MaxBytes:            1 << 30,
		IdempotencyWindow:   time.Minute,
	}
}
