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
	CodeInvalidTopic         Code = "invalid_topic"          // not a topic, or not a pattern
	CodeInvalidJSON          Code = "invalid_json"           // declared as JSON, and is not
	CodeInvalidCursor        Code = "invalid_cursor"         // not an id
	CodeInvalidRequest       Code = "invalid_request"        // anything else that is wrong with what was asked
	CodeUnauthorized         Code = "unauthorized"           // there is no valid token or API key, and strangers may not do this
	CodeForbidden            Code = "forbidden"              // the caller may not do this, or the request comes from a page that may not
	CodeNotFound             Code = "not_found"              // no such route, client, topic or subscription
	CodeMethodNotAllowed     Code = "method_not_allowed"     // the route has no such method
	CodeRequestTimeout       Code = "request_timeout"        // the request took too long to arrive
	CodePayloadTooLarge      Code = "payload_too_large"      // more than limits.message_size
	CodeUnsupportedEncoding  Code = "unsupported_encoding"   // the body has a Content-Encoding
	CodeUpgradeRequired      Code = "upgrade_required"       // not a WebSocket handshake
	CodeHeadersTooLarge      Code = "headers_too_large"      // more than 16 KiB of request line and headers
	CodeConflict             Code = "conflict"               // the idempotency key was used for other data
	CodeTooManySubscriptions Code = "too_many_subscriptions" // more than limits.subscriptions_per_client
	CodeRateLimited          Code = "rate_limited"           // more than limits.publish_rate or limits.request_rate
	CodeInternal             Code = "internal"               // a mistake of the server, whose log says which
	CodeOverloaded           Code = "overloaded"             // the server can take no more for now
	CodeTooManyClients       Code = "too_many_clients"       // as many clients as limits.clients, or limits.clients_per_address, are connected
	CodeShuttingDown         Code = "shutting_down"          // the server is going away
	CodeEngineUnavailable    Code = "engine_unavailable"     // the log, or a node that may have what was asked for, is out of reach
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
