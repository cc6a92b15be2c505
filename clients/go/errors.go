package fanfare

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Code is the stable name of an error. Most are the server's, and are passed on whatever they are; those
// below are the client's own, or ones that a program may want to tell from others.
type Code string

// The codes.
const (
	// CodeTimeout: no answer came in time. What was published may be in the log, or not.
	CodeTimeout Code = "timeout"
	// CodeClosed: the client or the subscription was closed by the program itself.
	CodeClosed Code = "closed"
	// CodeConflict: the client has a subscription with that pattern already; or the key of a publish was
	// used before, with other data.
	CodeConflict Code = "conflict"
	// CodeDisconnected: the server does not want the client to come back.
	CodeDisconnected Code = "disconnected"
	// CodeInvalidJSON: the data cannot be written as JSON.
	CodeInvalidJSON Code = "invalid_json"
	// CodePayloadTooLarge: the server takes no message of that size.
	CodePayloadTooLarge Code = "payload_too_large"
	// CodeUnauthorized: the server does not know who this is.
	CodeUnauthorized Code = "unauthorized"
	// CodeForbidden: the server knows, and does not allow it.
	CodeForbidden Code = "forbidden"
	// CodeRateLimited: too much in too short a time. Wait a second or more.
	CodeRateLimited Code = "rate_limited"

	codeShuttingDown Code = "shutting_down"
)

// Error is why something failed, or ended.
type Error struct {
	Code Code
	// Message is for people.
	Message string

	cause error
}

// Error implements error.
func (e *Error) Error() string { return "fanfare: " + string(e.Code) + ": " + e.Message }

// Unwrap gives the error of a context that ended while something was waited for.
func (e *Error) Unwrap() error { return e.cause }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func errClosed() *Error { return errorf(CodeClosed, "closed") }

// isClosed tells whether an error says that the program itself has closed what it asked.
func isClosed(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeClosed
}

// contextError gives the error of a context that has ended: the program's own, unless its time was over.
func contextError(ctx context.Context, what string) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: CodeTimeout, Message: what, cause: err}
	}
	return err
}

// isForNow tells whether what a subscribe was refused for may be over soon.
func (c Code) isForNow() bool {
	switch c {
	case CodeRateLimited, "overloaded", "engine_unavailable", "internal", codeShuttingDown:
		return true
	default:
		return false
	}
}

// LostError tells that messages are missing between the message before and the next. Who shows a state loads
// it anew. The subscription goes on.
type LostError struct {
	// Topics are the patterns in which they are missing.
	Topics []string
	Reason LostReason
}

// LostReason is why messages were lost.
type LostReason string

// The reasons.
const (
	// LostResume: the log did not reach back to the cursor, or is another one.
	LostResume LostReason = "resume"
	// LostGap: they were removed before they could be sent.
	LostGap LostReason = "gap"
)

// Error implements error.
func (e *LostError) Error() string {
	return fmt.Sprintf("fanfare: messages are lost in %s (%s)", strings.Join(e.Topics, ", "), e.Reason)
}

// DroppedError tells that messages were dropped here, as Overflow asked for. The subscription goes on.
type DroppedError struct {
	// Topics are the patterns of which they were dropped.
	Topics []string
	// Count is how many they were, 0 if the server does not know.
	Count uint64
}

// Error implements error.
func (e *DroppedError) Error() string {
	return fmt.Sprintf("fanfare: %d messages were dropped in %s", e.Count, strings.Join(e.Topics, ", "))
}
