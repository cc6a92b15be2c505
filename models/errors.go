package models

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of an error, the same over HTTP and WebSocket.
type Code string

// The error codes.
const (
	CodeInvalidTopic         Code = "invalid_topic"
	CodeInvalidJSON          Code = "invalid_json"
	CodeInvalidCursor        Code = "invalid_cursor"
	CodeInvalidRequest       Code = "invalid_request"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeRequestTimeout       Code = "request_timeout"
	CodePayloadTooLarge      Code = "payload_too_large"
	CodeUnsupportedEncoding  Code = "unsupported_encoding"
	CodeUpgradeRequired      Code = "upgrade_required"
	CodeHeadersTooLarge      Code = "headers_too_large"
	CodeConflict             Code = "conflict"
	CodeTooManySubscriptions Code = "too_many_subscriptions"
	CodeRateLimited          Code = "rate_limited"
	CodeInternal             Code = "internal"
	CodeOverloaded           Code = "overloaded"
	CodeTooManyClients       Code = "too_many_clients"
	CodeShuttingDown         Code = "shutting_down"
	CodeEngineUnavailable    Code = "engine_unavailable"
)

// Codes gives all error codes.
func Codes() []Code {
	return []Code{
		CodeInvalidTopic, CodeInvalidJSON, CodeInvalidCursor, CodeInvalidRequest, CodeUnauthorized, CodeForbidden,
		CodeNotFound, CodeMethodNotAllowed, CodeRequestTimeout, CodePayloadTooLarge, CodeUnsupportedEncoding,
		CodeUpgradeRequired, CodeHeadersTooLarge, CodeConflict, CodeTooManySubscriptions, CodeRateLimited,
		CodeInternal, CodeOverloaded, CodeTooManyClients, CodeShuttingDown, CodeEngineUnavailable,
	}
}

// Error is an error that the caller may see. Every other error is CodeInternal to it.
type Error struct {
	Code Code
	// Message is for people, and holds nothing internal.
	Message string
	// RetryAfter is when trying again may help, 0 for never.
	RetryAfter time.Duration
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string {
	return string(e.Code) + ": " + e.Message
}

// ErrUnauthorized answers who is not known, whatever is wrong with the credentials.
func ErrUnauthorized() *Error {
	return &Error{Code: CodeUnauthorized, Message: "a valid token or API key is needed"}
}

// ErrShuttingDown answers who comes while the server goes.
func ErrShuttingDown() *Error {
	return &Error{Code: CodeShuttingDown, Message: "the server is shutting down", RetryAfter: time.Second}
}

// ErrTooManyClients answers who comes when there is no place.
func ErrTooManyClients() *Error {
	return &Error{
		Code:       CodeTooManyClients,
		Message:    "the server has as many clients as it takes",
		RetryAfter: time.Second,
	}
}

// ErrTooManyOfAddress answers who comes from an address that has no place left.
func ErrTooManyOfAddress() *Error {
	return &Error{
		Code:       CodeTooManyClients,
		Message:    "your address has as many clients as the server takes of one",
		RetryAfter: time.Second,
	}
}

// AsError gives the Error in err's chain, or one of CodeInternal that tells nothing.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Errorf(CodeInternal, "something went wrong in the server")
}
