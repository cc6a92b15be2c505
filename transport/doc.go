// Package transport carries: it reads what peers send and writes what the outbox has
// ready. It knows sockets, the framing of RFC 6455 and the other wire formats, and nothing
// of topics.
//
// A Carrier takes over sockets after their handshake, or after a request that is answered
// for as long as the connection lasts. Each becomes a Conn, which takes the peer's bytes
// apart for a Session, if they mean anything, and hands the broker's bytes to the socket.
// There are two kinds of socket below it: on Linux a bare descriptor, watched by one of a
// few epoll loops, with a goroutine only while there is something to read; and everywhere,
// with TLS or without, a net.Conn with a goroutine that reads. What time does to connections is in wheel.go.
//
// Order of locks: wheel.mu, then a socket's.
package transport
