package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/gobwas/ws"
)

// patience is how long any one answer may take.
const patience = 30 * time.Second

// client is one connection of the load that speaks frames. It is for one goroutine.
type client struct {
	socket net.Conn
	frames frames
}

// dialWebSocket connects and waits for the welcome.
func dialWebSocket(ctx context.Context, address string, from net.Addr) (*client, error) {
	dialer := ws.Dialer{
		Timeout: patience,
		NetDial: (&net.Dialer{LocalAddr: from}).DialContext,
	}
	socket, early, _, err := dialer.Dial(ctx, "ws://"+address+"/ws")
	if err != nil {
		return nil, fmt.Errorf("the handshake failed: %w", err)
	}
	c := &client{socket: socket, frames: newFrames(socket, nil)}
	if early != nil {
		begun, _ := early.Peek(early.Buffered())
		c.frames = newFrames(socket, begun)
		ws.PutReader(early)
	}
	_ = socket.SetReadDeadline(time.Now().Add(patience))
	if err := c.await(welcomeText); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return c, nil
}

// dialFloor connects to a floor, which greets nobody.
func dialFloor(ctx context.Context, address string, from net.Addr) (*client, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: from}
	socket, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{socket: socket, frames: newFrames(socket, nil)}, nil
}

// subscribe asks for a subscription and waits for the ack.
func (c *client) subscribe(request []byte) error {
	_ = c.socket.SetDeadline(time.Now().Add(patience))
	if _, err := c.socket.Write(request); err != nil {
		return err
	}
	if err := c.await(ackText); err != nil {
		return err
	}
	return c.socket.SetDeadline(time.Time{})
}

// What the frames have in them that a client waits for.
const (
	welcomeText = `"type":"welcome"`
	ackText     = `"type":"ack"`
)

// await waits for a text frame that has the given text in it; any other is an error.
func (c *client) await(text string) error {
	for {
		f, err := c.frames.next()
		switch {
		case err != nil:
			return err
		case f.op == ws.OpText && bytes.Contains(f.payload, []byte(text)):
			return nil
		case f.op == ws.OpPing:
			if err := c.pong(f.payload); err != nil {
				return err
			}
		default:
			return unexpected(f)
		}
	}
}

// pong answers a ping: a silent client would be disconnected.
func (c *client) pong(payload []byte) error {
	_ = c.socket.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.socket.Write(appendRequest(nil, ws.OpPong, payload))
	return err
}

// sourceAddress spreads the load's connections over 127.0.0.2 to 127.0.0.201: of one
// address there are some 28,000 ports, and those of past connections rest for a minute. It
// gives nil, for any address, where these are not there.
func sourceAddress(i int, target string) net.Addr {
	address, err := netip.ParseAddrPort(target)
	if runtime.GOOS != "linux" || err != nil || !address.Addr().Is4() || !address.Addr().IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%200))} //nolint:gosec // it fits
}

// checkFiles tells whether this process may have that many connections, and some files.
func checkFiles(connections int) error {
	const others = 64
	limit, need := maxFiles(), connections+others
	if limit == 0 || need <= limit {
		return nil
	}
	return errors.New(grouped(float64(connections)) + " connections need " + grouped(float64(need)) +
		" open files, and the limit is " + grouped(float64(limit)) +
		fmt.Sprintf(": raise it with `ulimit -Hn %d` (as root; for good in /etc/security/limits.conf), or give fewer --clients", need))
}
