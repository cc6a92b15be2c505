package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gobwas/ws"
)

// listener is a connection that has the messages of one topic, over any transport, from a cursor on.
// But for until, it is for one goroutine.
type listener interface {
	// next waits for a message, and gives its frame, which is valid until the next one. The
	// error is os.ErrDeadlineExceeded when the time is up.
	next() ([]byte, error)
	// until sets the time up to which next waits.
	until(time.Time)
	// leave closes the connection, with a goodbye if there is one, or with a reset.
	leave(politely bool)
}

// recoveredText is what the ack has in it if nothing after the cursor is missing.
const recoveredText = `"recovered":true`

// socket is what all listeners have.
type socket struct{ net.Conn }

func dialSocket(ctx context.Context, address string, from net.Addr) (socket, error) {
	conn, err := (&net.Dialer{Timeout: patience, LocalAddr: from}).DialContext(ctx, "tcp", address)
	if err != nil {
		return socket{}, err
	}
	s := socket{conn}
	s.until(time.Now().Add(patience))
	return s, nil
}

// until implements listener.
func (s socket) until(at time.Time) { _ = s.SetReadDeadline(at) }

// leave implements listener.
func (s socket) leave(politely bool) {
	if tcp, ok := s.Conn.(*net.TCPConn); ok && !politely {
		_ = tcp.SetLinger(0)
	}
	_ = s.Close()
}

// webSocketListener is a WebSocket with one subscription.
type webSocketListener struct {
	socket
	client *client
}

func listenWebSocket(ctx context.Context, address string, from net.Addr, topic, since string) (_ listener, err error) {
	c, err := dialWebSocket(ctx, address, from)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.socket.Close()
		}
	}()
	request := fmt.Appendf(nil, `{"action":"subscribe","topic":%q,"since":%q}`, topic, since)
	if _, err := c.socket.Write(appendRequest(nil, ws.OpText, request)); err != nil {
		return nil, err
	}
	if err := c.await(recoveredText); err != nil {
		return nil, err
	}
	return &webSocketListener{socket{c.socket}, c}, nil
}

// next implements listener.
func (l *webSocketListener) next() ([]byte, error) {
	for {
		f, err := l.client.frames.next()
		if err != nil {
			return nil, err
		}
		switch {
		case f.op == ws.OpText && !isAside(f.payload):
			return f.payload, nil
		case f.op == ws.OpText:
		case f.op == ws.OpPing:
			if err := l.client.pong(f.payload); err != nil {
				return nil, err
			}
		default:
			return nil, unexpected(f)
		}
	}
}

// leave implements listener.
func (l *webSocketListener) leave(politely bool) {
	if politely {
		_, _ = l.Write(appendRequest(nil, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	}
	l.socket.leave(politely)
}

// isAside tells whether a frame is one that a listener need not look at: it says how far the
// connection has come.
func isAside(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte(`{"type":"caught_up"`)) || bytes.HasPrefix(frame, []byte(`{"type":"position"`))
}

// findID finds the id of a message in its frame, which is before anything that its publisher wrote.
func findID(frame []byte) (id string, ok bool) {
	_, rest, found := bytes.Cut(frame, []byte(`"id":"`))
	value, _, ended := bytes.Cut(rest, []byte(`"`))
	return string(value), found && ended
}
