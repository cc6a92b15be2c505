package models

// DefaultPageLimit and MaxPageLimit bound the entries of one page of a list.
const (
	DefaultPageLimit = 100
	MaxPageLimit     = 10_000
)

// Page chooses a stretch of an ordered list.
type Page struct {
	// After is the last name or id that the caller has seen, empty to begin.
	After string
	// Limit bounds the entries, 1 to MaxPageLimit.
	Limit int
}
