package handlers

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"

	"fanfare/models"
)

const (
	// smallBody is how large a body may be that does not count against bodyBudget, in bytes.
	smallBody = 64 << 10
	// bodyBudget bounds what all larger bodies take that are being read, in bytes.
	bodyBudget = 128 << 20
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
// promised takes no memory.
type bodies struct{ budget *semaphore.Weighted }

func newBodies() bodies { return bodies{semaphore.NewWeighted(bodyBudget)} }

// read gives the body as it came, of at most limit bytes, which is the caller's own. One with an
// encoding is refused: Fiber would inflate it, however large it becomes. CodePayloadTooLarge,
// CodeUnsupportedEncoding, CodeOverloaded, and what is wrong with how it comes.
func (b bodies) read(c *fiber.Ctx, limit int) ([]byte, error) {
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
	stream := c.Context().RequestBodyStream()
	if stream == nil {
		return nil, nil
	}
	if size >= 0 && size <= smallBody {
		body := make([]byte, size)
		if _, err := io.ReadFull(stream, body); err != nil {
			return nil, bodyError(err)
		}
		return body, nil
	}
	if size < 0 {
		size = limit // it does not say
	}
	if size > smallBody {
		if !b.budget.TryAcquire(int64(size)) {
			return nil, &models.Error{Code: models.CodeOverloaded, Message: "too many large bodies are on their way", RetryAfter: time.Second}
		}
		defer b.budget.Release(int64(size))
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(stream, int64(limit)+1)); err != nil {
		return nil, bodyError(err)
	}
	if body.Len() > limit {
		return nil, fiber.ErrRequestEntityTooLarge
	}
	return body.Bytes(), nil
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
