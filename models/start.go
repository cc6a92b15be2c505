package models

// SinceAll stands for the beginning of the log in place of an id.
const SinceAll = "all"

// MaxLast bounds how many messages a listener can ask for with last.
const MaxLast = 10_000

// Start is where in the log a listener begins. The zero Start is the present end.
type Start struct {
	// Since is the place after which it begins, unless zero.
	Since ID
	// All begins with the oldest that there is.
	All bool
	// Last begins with the last so many messages that match, unless 0.
	Last int
}

// ParseStart reads since, which is an id, SinceAll or empty, and last, which is nil without
// one. Only one of them may be there. Its errors have CodeInvalidCursor and
// CodeInvalidRequest.
func ParseStart(since string, last *int) (Start, error) {
	switch {
	case since != "" && last != nil:
		return Start{}, Errorf(CodeInvalidRequest, "either since or last, not both")
	case last != nil && (*last < 1 || *last > MaxLast):
		return Start{}, Errorf(CodeInvalidRequest, "last is a number from 1 to %d", MaxLast)
	case last != nil:
		return Start{Last: *last}, nil
	case since == SinceAll:
		return Start{All: true}, nil
	case since == "":
		return Start{}, nil
	}
	id, err := ParseID(since)
	return Start{Since: id}, err
}

// Replays tells whether anything before the present is asked for.
func (s Start) Replays() bool { return s != Start{} }

// Resumes tells whether the listener wants to know if it missed something.
func (s Start) Resumes() bool { return s.All || s.Since != ID{} }
