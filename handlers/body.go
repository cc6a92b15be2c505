package handlers

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"fanfare/models"
)

const (
	// firstRead is what a body takes before anything of it is looked at, in bytes: fasthttp has
	// as much of it by then.
	firstRead = 8 << 10
	// smallBody is how much of a body does not count, bodyBudget what all others may take together
	// that are being read or published, and bodyShare those of one caller, in bytes.
	smallBody  = 64 << 10
	bodyBudget = 128 << 20
	bodyShare  = bodyBudget / 4
)

// What is left of a body that nobody wants is read for a while before the answer, so that a client
// that sends first and reads later gets to see it: closing a socket with unread bytes resets the
// connection.
const (
	drainSize = 8 << 20
	drainTime = 2 * time.Second
	// drainPause is how long a client may pause before it is taken to be through.
	drainPause = 250 * time.Millisecond
)

// bodies reads the bodies of requests when it is known who sends them, as they come: what is only
// promised takes no memory. Methods may be called concurrently.
type bodies struct {
	// mu guards what large bodies take, all together and those of each caller.
	mu    sync.Mutex
	taken int
	of    map[bucketKey]int
}

func newBodies() *bodies { return &bodies{of: make(map[bucketKey]int)} }

// body is one that is being read or published.
type body struct {
	bodies *bodies
	by     bucketKey
	// counted is what it takes of the budget.
	counted int
	bytes   []byte
}

// read gives the body as it came, of at most limit bytes. It has to be released. One with an encoding
// is refused: Fiber would inflate it, however large it becomes. CodePayloadTooLarge,
// CodeUnsupportedEncoding, CodeOverloaded, and what is wrong with how it comes.
func (b *bodies) read(c *fiber.Ctx, limit int) (*body, error) {
	for _, encoding := range c.Request().Header.PeekAll(fiber.HeaderContentEncoding) {
		if len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
			c.Set(fiber.HeaderAcceptEncoding, "identity")
			return nil, models.Errorf(models.CodeUnsupportedEncoding, "the body must come without Content-Encoding")
		}
	}
	size := c.Request().Header.ContentLength()
	if size > limit {
		return nil, fiber.ErrRequestEntityTooLarge
	}
	one := &body{bodies: b, by: bucketOf(caller(c))}
	if stream := c.Context().RequestBodyStream(); stream != nil {
		if err := one.fill(stream, size, limit); err != nil {
			one.release()
			return nil, err
		}
	}
	return one, nil
}

// fill reads a body of that size, or of one that is not known if that is negative.
func (o *body) fill(stream io.Reader, size, limit int) error {
	most := size
	if size < 0 {
		most = limit + 1 // one more tells that it is too large
	}
	o.bytes = make([]byte, 0, min(most, firstRead))
	for len(o.bytes) < most {
		if len(o.bytes) == cap(o.bytes) {
			if err := o.grow(min(2*cap(o.bytes), most)); err != nil {
				return err
			}
		}
		n, err := stream.Read(o.bytes[len(o.bytes):cap(o.bytes)])
		o.bytes = o.bytes[:len(o.bytes)+n]
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return bodyError(err)
		}
	}
	switch {
	case len(o.bytes) > limit:
		return fiber.ErrRequestEntityTooLarge
	case len(o.bytes) < size: // the peer has gone, and this is not what it meant
		return bodyError(io.ErrUnexpectedEOF)
	default:
		return nil
	}
}

// grow makes room for that many bytes in all.
func (o *body) grow(room int) error {
	if more := room - smallBody - o.counted; more > 0 {
		if !o.bodies.take(o.by, more) {
			return &models.Error{Code: models.CodeOverloaded, Message: "too many large bodies are on their way", RetryAfter: time.Second}
		}
		o.counted += more
	}
	o.bytes = append(make([]byte, 0, room), o.bytes...)
	return nil
}

// release gives back what the body takes of the budget.
func (o *body) release() {
	if o.counted > 0 {
		o.bodies.give(o.by, o.counted)
		o.counted = 0
	}
}

// take counts some bytes of a caller's, if there is room for them.
func (b *bodies) take(by bucketKey, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+n > bodyBudget || b.of[by]+n > bodyShare {
		return false
	}
	b.taken += n
	b.of[by] += n
	return true
}

func (b *bodies) give(by bucketKey, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	if b.of[by] -= n; b.of[by] == 0 {
		delete(b.of, by)
	}
}

// bodyError says what is wrong with how a body comes.
func bodyError(err error) error {
	if _, large := errors.AsType[*fasthttp.ErrSmallBuffer](err); large {
		return fiber.ErrRequestHeaderFieldsTooLarge // a trailer
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fiber.ErrRequestTimeout
	}
	return fiber.ErrBadRequest
}

// drainBodies reads what is left of a request's body before the answer goes out.
func drainBodies(app *fiber.App) {
	handle := app.Server().Handler
	app.Server().Handler = func(ctx *fasthttp.RequestCtx) {
		stream := ctx.RequestBodyStream() // the handler's end takes it away
		handle(ctx)
		if stream == nil || ctx.Hijacked() {
			return
		}
		if ctx.Response.StatusCode() >= fiber.StatusBadRequest { // of others the body has been read
			_ = ctx.Conn().SetReadDeadline(time.Now().Add(drainPause))
		}
		var some [1]byte // mostly there is nothing left
		if _, err := stream.Read(some[:]); errors.Is(err, io.EOF) {
			return
		} else if err != nil || !drain(ctx.Conn(), stream) {
			ctx.SetConnectionClose()
		}
	}
}

// drain reads on, for a while, and tells whether it came to the end.
func drain(conn net.Conn, r io.Reader) (ended bool) {
	end := time.Now().Add(drainTime)
	buf := make([]byte, 16<<10)
	for left := drainSize; left > 0; {
		n, err := r.Read(buf)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		left -= n
		pause := min(drainPause, time.Until(end))
		if conn.SetReadDeadline(time.Now().Add(pause)) != nil {
			return false
		}
	}
	return false
}
