package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"
)

// floorBuffer is what the kernel is asked to hold of a floor's writes, in bytes: as much
// as Fanfare asks for.
const floorBuffer = 64 << 10

// floor does the least that fan-out and an HTTP publish can cost: it writes ready-made
// frames to sockets with write(2), one by one, and answers POSTs from a bare fasthttp. It
// knows no protocol but the load's: a subscriber sends the name of its topic in a line.
type floor struct {
	mu     sync.RWMutex
	topics map[string][]*sink
	// frame is how long a message's frame is to be, in bytes, receipt the answer to a
	// publish. The load sets both to what Fanfare sends.
	frame   int
	receipt []byte

	// number counts what it has published on its own. Owned by who carries out orders.
	number int64
}

// The orders of a floor, beside figures: the sizes of a frame and a receipt; and to
// publish on its own: a rate a second, a count, and the size of the data.
const (
	orderSizes = "sizes"
	orderPace  = "pace"
)

// RunFloor runs a floor program on free ports of loopback until there are no more orders
// on in. The answers go to out.
func RunFloor(ctx context.Context, in io.Reader, out io.Writer) error {
	f := &floor{topics: make(map[string][]*sink)}
	var listeners [2]net.Listener
	for i := range listeners {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer listener.Close() //nolint:errcheck // the process ends
		listeners[i] = listener
	}
	go f.welcome(listeners[0])
	// What Fiber asks of fasthttp: no header that nobody needs.
	http := fasthttp.Server{Handler: f.publish, NoDefaultServerHeader: true}
	go http.Serve(listeners[1]) //nolint:errcheck // its end is that of the process
	addresses := listeners[0].Addr().String() + " " + listeners[1].Addr().String()
	return attend(in, out, addresses, func(order string) (string, error) { return f.carryOut(ctx, order) })
}

func (f *floor) carryOut(ctx context.Context, order string) (string, error) {
	var rate float64
	var frame, receipt, count, size int
	switch word, numbers, _ := strings.Cut(order, " "); word {
	case orderSizes:
		_, err := fmt.Sscan(numbers, &frame, &receipt)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.frame, f.receipt = frame, bytes.Repeat([]byte(" "), max(receipt, 0))
		return "", err
	case orderPace:
		if _, err := fmt.Sscan(numbers, &rate, &count, &size); err != nil {
			return "", err
		}
		return "", f.pace(ctx, rate, count, size)
	default:
		return aboutItself(order)
	}
}

// welcome takes subscribers.
func (f *floor) welcome(listener net.Listener) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		go f.subscribe(socket)
	}
}

func (f *floor) subscribe(socket net.Conn) {
	topic, err := bufio.NewReaderSize(socket, 64).ReadString('\n')
	if err != nil {
		_ = socket.Close()
		return
	}
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(floorBuffer)
	}
	s := newSink(socket)
	topic = strings.TrimSuffix(topic, "\n")
	f.mu.Lock()
	f.topics[topic] = append(f.topics[topic], s)
	f.mu.Unlock()
	const ack = `{"type":"ack"}`
	_ = s.write(append(appendHeader(nil, ws.OpText, 0, len(ack)), ack...))
}

// pace publishes on its own, to all subscribers of bench.0.
func (f *floor) pace(ctx context.Context, rate float64, count, size int) error {
	f.mu.RLock()
	sinks, length := f.topics["bench.0"], f.frame
	f.mu.RUnlock()
	var data, frame []byte
	return pace(ctx, rate, count, func() error {
		data = appendStamp(data[:0], stamp{number: f.number, sent: time.Now().UnixNano()}, size)
		frame = appendMessage(frame[:0], "bench.0", data, length)
		f.number++
		for _, s := range sinks {
			if err := s.write(frame); err != nil {
				return err
			}
		}
		return nil
	})
}

// publish answers POST /topics/{name}/publish.
func (f *floor) publish(c *fasthttp.RequestCtx) {
	topic := bytes.TrimSuffix(bytes.TrimPrefix(c.Path(), []byte("/topics/")), []byte("/publish"))
	f.mu.RLock()
	sinks, length, receipt := f.topics[string(topic)], f.frame, f.receipt
	f.mu.RUnlock()
	frame := appendMessage(make([]byte, 0, 256), string(topic), c.PostBody(), length)
	for _, s := range sinks {
		if err := s.write(frame); err != nil {
			c.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
	}
	c.SetContentType("application/json")
	c.SetBody(receipt)
}

// appendMessage appends a message's frame like one of Fanfare's, and as long: what is
// missing is in its id.
func appendMessage(dst []byte, topic string, data []byte, length int) []byte {
	const before, between, after = `{"type":"message","id":"`, `","topic":"`, `","data":`
	const end = `,"time":"2026-01-01T00:00:00.000Z"}`
	const header = 4 // of 126 to 65,535 bytes
	payload := len(before) + len(between) + len(topic) + len(after) + len(data) + len(end)
	id := max(0, length-header-payload)
	dst = appendHeader(dst, ws.OpText, 0, payload+id)
	dst = append(dst, before...)
	for range id {
		dst = append(dst, '0')
	}
	dst = append(append(dst, between...), topic...)
	dst = append(append(dst, after...), data...)
	return append(dst, end...)
}

// sink is one subscriber's socket. Its frames stay whole whoever writes at the same time.
type sink struct {
	mu     sync.Mutex
	socket net.Conn
	direct func(b []byte) int // writes what fits without blocking, if there is a way
}

func newSink(socket net.Conn) *sink {
	return &sink{socket: socket, direct: directWrite(socket)}
}

// write waits only if the socket is full.
func (s *sink) write(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.direct(b)
	if n == len(b) {
		return nil
	}
	_, err := s.socket.Write(b[n:])
	return err
}

// floorTarget is a floor under load.
type floorTarget struct {
	child *child
}

// bare starts a floor.
func (r *runner) bare(ctx context.Context) (*floorTarget, error) {
	child, err := r.start(ctx, r.environ, FloorCommand, r.serverCore())
	if err != nil {
		return nil, err
	}
	if len(child.addresses) != 2 {
		return nil, errors.Join(fmt.Errorf("the floor says it is at %q", child.addresses), child.stop())
	}
	return &floorTarget{child: child}, nil
}

// connect implements target.
func (f *floorTarget) connect(ctx context.Context, i int) (*client, error) {
	address := f.child.addresses[0]
	return dialFloor(ctx, address, sourceAddress(i, address))
}

// subscription implements target.
func (f *floorTarget) subscription(topic string) []byte { return []byte(topic + "\n") }

// figures implements target.
func (f *floorTarget) figures(context.Context) (figures, error) {
	return f.child.figures(orderFigures)
}

// httpAddress is where it takes POSTs.
func (f *floorTarget) httpAddress() string { return f.child.addresses[1] }

// sizes tells the floor how long its frames and receipts are to be, in bytes.
func (f *floorTarget) sizes(frame, receipt int) error {
	_, err := f.child.order(fmt.Sprint(orderSizes, " ", frame, " ", receipt))
	return err
}
