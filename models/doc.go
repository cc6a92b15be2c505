// Package models describes what Fanfare speaks of: topics and patterns, messages
// and their ids, the frames of the WebSocket protocol, the bodies of the HTTP
// routes, error codes and close codes. It holds no state and does no I/O.
package models
