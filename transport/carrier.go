package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
	"unique"

	"github.com/fasthttp/websocket"

	"fanfare/models"
)

// kernelBuffer is what the kernel is asked to hold for a peer that does not read, in
// bytes; left to itself it holds some 4 MB. Linux takes it twice.
const kernelBuffer = 64 << 10

// Mode is how sockets are read.
type Mode string

// The modes.
const (
	// ModeAuto is ModeEpoll where there is epoll, else ModeGoroutine.
	ModeAuto Mode = "auto"
	// ModeEpoll reads with a few epoll loops: an idle connection has neither goroutine
	// nor buffer. Linux only, and not for TLS, which cannot be taken by descriptor.
	ModeEpoll Mode = "epoll"
	// ModeGoroutine reads with a goroutine for each connection, TLS or not.
	ModeGoroutine Mode = "goroutine"
)

// Options configures a Carrier. Every field but these two must be set.
type Options struct {
	// Connections bounds the connections, those that linger included, and ConnectionsPerNetwork
	// those from one network, as models.Network has it; 0 for no limit.
	Connections, ConnectionsPerNetwork int
	// Mode is how sockets are read.
	Mode Mode
	// FrameSize bounds a message from a peer, in bytes. More closes with 1009.
	FrameSize int
	// Silence is how long a peer may send nothing, not even a pong. More closes with
	// 4002. While its message is being answered, a peer is not silent. Who has nothing to
	// send has as long to acknowledge what it is sent, as far as the system knows how.
	Silence time.Duration
	// Linger is how long a peer has, after the close frame was queued, to take what is
	// written and to leave. Both deadlines are late by an eighth of the shorter at most.
	Linger time.Duration
	// Logger is told of panics in a session.
	Logger *slog.Logger
}

// Carrier carries connections. Its methods may be called concurrently.
type Carrier struct {
	// Set by New, never changed.
	options Options
	// loops share the sockets by descriptor. There are none in ModeGoroutine.
	loops   []*loop
	wheel   *wheel
	lenders *lenders

	// done ends the wheel; workers are the goroutines of the Carrier's own.
	done    chan struct{}
	workers sync.WaitGroup

	// mu guards live, of which networks has those of each if that is limited, and closing: once
	// it is set, none is added. emptied is closed when the last has gone.
	mu       sync.Mutex
	live     int
	networks map[network]int
	closing  bool
	emptied  chan struct{}
}

// New starts a Carrier. It must be closed.
func New(options Options) (*Carrier, error) {
	t := &Carrier{
		options:  options,
		wheel:    newWheel(options.Silence, options.Linger),
		lenders:  new(lenders),
		done:     make(chan struct{}),
		networks: make(map[network]int),
		emptied:  make(chan struct{}),
	}
	if options.Mode == ModeEpoll || options.Mode == ModeAuto && hasEpoll {
		for range runtime.GOMAXPROCS(0) {
			l, err := newLoop(t.lenders)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("transport: %w", err), t.closeLoops())
			}
			t.loops = append(t.loops, l)
		}
	}
	for _, l := range t.loops {
		t.workers.Go(l.run)
	}
	t.workers.Go(func() { t.wheel.run(t.done) })
	return t, nil
}

// CopiesDescriptors tells that connections are taken over by a copy of their descriptor,
// and left for whoever made them to close. Otherwise they are taken themselves.
func (t *Carrier) CopiesDescriptors() bool { return len(t.loops) > 0 }

// Accept takes over a connection after its WebSocket handshake, from an address: nothing else
// may read from it or write to it any more. The Conn must be served. It fails when there are too
// many, when no descriptor is left, in ModeEpoll for what is no TCP socket, and after Close.
//
// With cloudEvents each message goes out as a CloudEvent in the JSON format, in place of its frame.
func (t *Carrier) Accept(ws *websocket.Conn, address string, cloudEvents bool) (*Conn, error) {
	hijacked := ws.NetConn()
	// What the peer has sent behind its handshake was read with it.
	early, err := readBuffered(hijacked)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	return t.takeOver(hijacked, &Conn{
		network: t.network(address),
		format:  webSocketFormat{cloudEvents: cloudEvents},
		parser:  parser{limit: t.options.FrameSize},
		early:   early,
	})
}

// AcceptOneWay is Accept for a connection whose peer has nothing more to say after its
// request: what it still sends is thrown away. To hang up is its goodbye, and when the
// Conn is closed its session is over: the peer answers no close frame.
func (t *Carrier) AcceptOneWay(hijacked net.Conn, address string, format models.Format) (*Conn, error) {
	return t.takeOver(hijacked, &Conn{network: t.network(address), format: format, oneWay: true})
}

// takeOver gives a Conn the socket below a connection.
func (t *Carrier) takeOver(hijacked net.Conn, c *Conn) (*Conn, error) {
	if err := t.enter(c.network); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	socket, err := t.socketBelow(hijacked, c.oneWay)
	if err != nil {
		t.leave(c.network)
		return nil, fmt.Errorf("transport: %w", err)
	}
	c.carrier, c.socket = t, socket
	c.state.Store(serving) // by nobody, until Serve
	if err := socket.begin(c); err != nil {
		socket.close()
		t.leave(c.network)
		return nil, fmt.Errorf("transport: %w", err)
	}
	t.wheel.add(c)
	return c, nil
}

// socketBelow takes the socket from a connection.
func (t *Carrier) socketBelow(hijacked net.Conn, oneWay bool) (socket, error) {
	conn := hijacked
	if wrapper, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
		conn = wrapper.UnsafeConn()
	}
	below := conn
	if secure, ok := conn.(*tls.Conn); ok && !t.CopiesDescriptors() {
		below = secure.NetConn()
	}
	tcp, ok := below.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("no TCP socket: %T", below)
	}
	_ = tcp.SetWriteBuffer(kernelBuffer)
	if oneWay {
		endUnacknowledged(tcp, t.options.Silence)
	} else {
		// Pings do that.
		_ = tcp.SetKeepAlive(false)
	}
	if !t.CopiesDescriptors() {
		return newStream(conn, tcp, t.lenders), nil
	}
	return copyDescriptor(tcp, t.loops)
}

// readBuffered gives what has been read from the socket behind the handshake, without
// waiting for more.
func readBuffered(conn net.Conn) ([]byte, error) {
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	var early, some = []byte(nil), make([]byte, 512)
	for {
		n, err := conn.Read(some)
		early = append(early, some[:n]...)
		if err != nil {
			return early, conn.SetReadDeadline(time.Time{})
		}
	}
}

// Close waits for all connections to end, and cuts those that have not when ctx ends.
// Whoever owns them ends them; from now on none is accepted. It is called once.
func (t *Carrier) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closing = true
	if t.live == 0 {
		close(t.emptied)
	}
	t.mu.Unlock()
	var err error
	select {
	case <-t.emptied:
	case <-ctx.Done():
		all := t.wheel.all()
		for _, c := range all {
			c.socket.cut()
		}
		if len(all) > 0 {
			err = fmt.Errorf("transport: %d connections were cut: %w", len(all), ctx.Err())
		}
		select {
		case <-t.emptied:
		case <-time.After(t.options.Linger): // a session is stuck
		}
	}
	close(t.done)
	err = errors.Join(err, t.closeLoops())
	t.workers.Wait()
	return err
}

func (t *Carrier) closeLoops() error {
	var errs []error
	for _, l := range t.loops {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// network is where connections come from: small, since each keeps its own. It is zero where
// that does not matter.
type network = unique.Handle[netip.Prefix]

func (t *Carrier) network(address string) (n network) {
	if t.options.ConnectionsPerNetwork > 0 {
		n = unique.Make(models.Network(address))
	}
	return n
}

// Admits is nil when another connection from an address would be accepted: CodeTooManyClients.
func (t *Carrier) Admits(address string) error {
	from := t.network(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refusalLocked(from)
}

// refusalLocked is why no connection may come from a network, or nil.
func (t *Carrier) refusalLocked(from network) error {
	switch limits := t.options; {
	case limits.Connections > 0 && t.live >= limits.Connections:
		return models.ErrTooManyClients()
	case limits.ConnectionsPerNetwork > 0 && t.networks[from] >= limits.ConnectionsPerNetwork:
		return models.ErrTooManyOfAddress()
	default:
		return nil
	}
}

// enter counts a connection, unless there are too many or the Carrier is closing.
func (t *Carrier) enter(from network) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return net.ErrClosed
	}
	if err := t.refusalLocked(from); err != nil {
		return err
	}
	t.live++
	if t.options.ConnectionsPerNetwork > 0 {
		t.networks[from]++
	}
	return nil
}

func (t *Carrier) leave(from network) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.options.ConnectionsPerNetwork > 0 {
		if t.networks[from]--; t.networks[from] == 0 {
			delete(t.networks, from)
		}
	}
	if t.live--; t.live == 0 && t.closing {
		close(t.emptied)
	}
}
