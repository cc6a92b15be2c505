// Package transport carries: it reads what peers send and writes what the outbox has
// ready. It knows sockets and the framing of RFC 6455, and nothing of topics.
//
// A Carrier takes over sockets after their handshake. Each becomes a Conn, which takes
// the peer's bytes apart for a Session and hands the broker's bytes to the socket. There
// are two kinds of socket below it: on Linux a bare descriptor, watched by one of a few
// epoll loops, with a goroutine only while there is something to read; and everywhere a
// net.Conn with a goroutine that reads. What time does to connections is in wheel.go.
//
// Order of locks: wheel.mu, then a socket's.
package transport
