// Package handlers translates: it turns HTTP requests and WebSocket frames into calls
// of the broker, and what those return into answers. It keeps nothing.
package handlers
