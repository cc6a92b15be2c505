package transport

import (
	"errors"
	"io"
	"math"
	"runtime/debug"
	"sync/atomic"

	"fanfare/models"
)

// Session is who answers a peer. Its methods are called one at a time, and may take their
// time: meanwhile nothing more is read, of this connection alone.
type Session interface {
	// Receive answers a message. The payload is lent until it returns.
	Receive(payload []byte, binary bool)
	// Reply passes on a ready-made answer to a control frame, which must leave through
	// Conn.Write.
	Reply(frame []byte)
	// Ended is called last, once, when nothing will be received any more, with why. When
	// it returns, nobody may write any more.
	Ended(reason models.CloseCode)
}

// What a connection is at.
const (
	// idle: nobody reads. Whoever makes it serving has to.
	idle int32 = iota
	// serving: a goroutine reads.
	serving
	// again: it has to look once more before it goes.
	again
)

// handling stands for a tick in heard: a message is being answered.
const handling = math.MaxInt64

// Conn is the server's side of one connection: a WebSocket, or one way to the peer. It is
// a broker.Conn: Format, Write and Close are for the one that writes, while a goroutine of
// the Conn's own reads.
type Conn struct {
	// Set by Accept and Serve, never changed.
	carrier *Carrier
	network network
	socket  socket
	session Session
	// format is that of what goes to the peer. oneWay is a peer that has nothing to say; any other
	// is that of a WebSocket.
	format models.Format
	oneWay bool

	// state is idle, serving or again.
	state atomic.Int32
	// silent tells the goroutine that reads to stop: the peer's time is up.
	silent atomic.Bool
	// closing is why the broker has closed, or 0: what still comes is dropped.
	closing atomic.Uint32
	// heard is the tick at which something was last heard of the peer, or handling.
	heard atomic.Int64

	timing timing

	// Owned by the goroutine that reads.
	parser parser
	// early is what came with the handshake.
	early []byte
	// ended tells that the session is over and the peer has only to leave.
	ended bool
}

// socket is a connection without its protocol. read is for one goroutine, write for
// another; interrupt and cut may be called by any.
type socket interface {
	// read gives the next bytes, lent until it is called again. It fails with errNothing
	// if there are none now: then Conn.wake is called as soon as there are some. Other
	// errors are the end of the connection, or of an interrupt.
	read() ([]byte, error)
	// willWait tells that the next read probably waits.
	willWait() bool
	// write is Conn.Write.
	write(b []byte, room func()) (int, error)
	// begin is called once, before the rest, with whom to wake.
	begin(c *Conn) error
	// interrupt ends a read that is waiting.
	interrupt()
	// closeWrite tells the peer that nothing more will come, behind all that was written,
	// and takes the effect of interrupt back.
	closeWrite()
	// cut makes every read and write fail, those that wait, too.
	cut()
	// close frees the socket. Only cut may be called after it.
	close()
}

// errNothing says that there is nothing to read now.
var errNothing = errors.New("nothing to read")

// Format implements broker.Conn.
func (c *Conn) Format() models.Format { return c.format }

// Write implements broker.Conn.
func (c *Conn) Write(b []byte, room func()) (int, error) { return c.socket.write(b, room) }

// Close implements broker.Conn: from now on the peer has the linger time.
func (c *Conn) Close(code models.CloseCode) {
	c.closing.Store(uint32(code))
	c.carrier.wheel.startLinger(c)
	if c.oneWay {
		c.socket.interrupt()
	}
}

// Serve hands the peer's messages to the session until the connection ends, and frees
// it. It returns at once, and is called once.
func (c *Conn) Serve(session Session) {
	c.session = session
	go c.serve()
}

// tookSome notes that the peer has made room for more: it may be slow, but it lives.
func (c *Conn) tookSome() {
	if heard := c.heard.Load(); heard != handling {
		c.heard.CompareAndSwap(heard, c.carrier.wheel.now.Load())
	}
}

// wake sees to it that what there may be to read is read.
func (c *Conn) wake() {
	for {
		switch c.state.Load() {
		case idle:
			if c.state.CompareAndSwap(idle, serving) {
				go c.serve()
				return
			}
		case serving:
			if c.state.CompareAndSwap(serving, again) {
				return
			}
		default:
			return
		}
	}
}

// rest ends serving, unless there may be more to read by now.
func (c *Conn) rest() bool {
	if c.state.CompareAndSwap(serving, idle) {
		return true
	}
	c.state.Store(serving)
	return false
}

// expire tells a connection that its time is up. wheel.mu is held.
func (c *Conn) expire() {
	// Who was told before and is still here cannot hear it: to answer a broken record, TLS
	// waits for its writer in the midst of a read, and a stuck peer holds that up.
	if c.timing.lingering || c.silent.Swap(true) {
		c.socket.cut()
		return
	}
	c.socket.interrupt()
}

// serve reads until there is nothing to read now, or for good.
func (c *Conn) serve() {
	for {
		b, err := c.read()
		switch {
		case !c.ended && c.silent.Load():
			c.end(models.ClosePingTimeout)
		case !c.ended && c.oneWay && c.closing.Load() != 0:
			c.end(models.CloseCode(c.closing.Load())) //nolint:gosec // it was one
		case errors.Is(err, errNothing):
			if c.rest() {
				return
			}
		case err != nil && c.ended:
			c.finish()
			return
		case err != nil:
			c.end(c.hungUp(err))
		case !c.ended && !c.oneWay:
			c.heard.Store(handling)
			reason := c.take(b)
			c.heard.Store(c.carrier.wheel.now.Load())
			if reason != 0 {
				c.end(reason)
			}
			if c.socket.willWait() {
				// Answering needs a deep stack, waiting does not: a fresh goroutine has a
				// small one.
				go c.serve()
				return
			}
		}
	}
}

// hungUp is why the session is over when the peer has left without a word. Who has nothing
// to say leaves like that, unless the connection broke.
func (c *Conn) hungUp(err error) models.CloseCode {
	if c.oneWay && errors.Is(err, io.EOF) {
		return models.CloseNormal
	}
	return models.CloseAbnormal
}

// read gives what came with the handshake, and then what the socket has.
func (c *Conn) read() ([]byte, error) {
	if early := c.early; len(early) > 0 {
		c.early = nil
		return early, nil
	}
	return c.socket.read()
}

// take answers what is complete with these bytes. The result is why the session is over,
// or 0.
func (c *Conn) take(b []byte) (reason models.CloseCode) {
	defer func() {
		if cause := recover(); cause != nil {
			c.carrier.options.Logger.Error("connection_panicked", "cause", cause, "stack", string(debug.Stack()))
			reason = models.CloseInternal
		}
	}()
	for {
		in, n, code := c.parser.next(b)
		if code != 0 {
			return code
		}
		b = b[n:]
		switch in.opcode {
		case opContinuation:
			return 0
		case opText, opBinary:
			if c.closing.Load() == 0 {
				c.session.Receive(in.payload, in.opcode == opBinary)
			}
		case opPing:
			c.session.Reply(pong(in.payload))
		case opClose:
			return models.CloseNormal
		}
	}
}

// end ends the session. The peer has the linger time to take the rest and to leave. Were
// the socket closed on what the peer is still sending, the kernel would reset it, and the
// close frame could be lost.
func (c *Conn) end(reason models.CloseCode) {
	c.session.Ended(reason)
	c.ended = true
	c.parser = parser{}
	c.carrier.wheel.startLinger(c)
	c.socket.closeWrite()
}

// finish frees everything. The state stays as it is, so that nobody serves any more.
func (c *Conn) finish() {
	c.carrier.wheel.remove(c)
	c.socket.close()
	c.carrier.leave(c.network)
}
