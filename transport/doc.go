// Package transport carries: it reads frames from a socket and writes what the outbox
// has ready. It knows sockets and the framing of RFC 6455, and nothing of topics.
package transport
