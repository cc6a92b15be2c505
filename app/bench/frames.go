package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gobwas/ws"
)

const (
	// firstBuffer is what one connection reads into at first, in bytes: there may be tens
	// of thousands that hardly read.
	firstBuffer = 512
	// maxBuffer is up to which it grows for one that has much to read. A larger frame
	// makes it grow further.
	maxBuffer = 64 << 10
	// maxFrame is more than any server sends to the load, in bytes.
	maxFrame = 16 << 20
)

var errFrame = errors.New("the server sent a frame that is masked, in pieces or too large")

// frame is one frame from the server. Its payload is valid until the next one is read.
type frame struct {
	op      ws.OpCode
	payload []byte
	size    int // header included, in bytes
}

// frames reads the frames of one server (RFC 6455, section 5.2). It is for one goroutine.
type frames struct {
	reader io.Reader
	// at is when the frames that are at hand arrived.
	at time.Time

	buffer     []byte
	start, end int
}

// newFrames begins with what was read before.
func newFrames(reader io.Reader, early []byte) frames {
	f := frames{reader: reader, buffer: make([]byte, max(firstBuffer, len(early))), at: time.Now()}
	f.end = copy(f.buffer, early)
	return f
}

// next waits for a frame.
func (f *frames) next() (frame, error) {
	for {
		header, length, err := scanHeader(f.buffer[f.start:f.end])
		if err != nil {
			return frame{}, err
		}
		if size := header + length; header > 0 && f.end-f.start >= size {
			whole := f.buffer[f.start : f.start+size]
			f.start += size
			return frame{op: ws.OpCode(whole[0] & 0x0f), payload: whole[header:], size: size}, nil
		} else if err := f.fill(size); err != nil {
			return frame{}, err
		}
	}
}

// fill reads more, into a buffer that has room for a frame of the given size.
func (f *frames) fill(size int) error {
	f.end = copy(f.buffer, f.buffer[f.start:f.end])
	f.start = 0
	if size > len(f.buffer) {
		f.grow(size)
	}
	n, err := f.reader.Read(f.buffer[f.end:])
	f.at = time.Now()
	f.end += n
	if f.end == len(f.buffer) && f.end < maxBuffer {
		f.grow(2 * f.end)
	}
	if n > 0 {
		return nil
	}
	return err
}

func (f *frames) grow(size int) {
	buffer := make([]byte, size)
	copy(buffer, f.buffer[:f.end])
	f.buffer = buffer
}

// scanHeader gives the lengths of a frame's header and payload, or 0 for the header if b
// does not have all of it.
func scanHeader(b []byte) (header, length int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	const final, reserved, masked = 0x80, 0x70, 0x80
	if b[0]&final == 0 || b[0]&reserved != 0 || b[1]&masked != 0 {
		return 0, 0, errFrame
	}
	switch short := int(b[1]); {
	case short < 126:
		return 2, short, nil
	case short == 126:
		if len(b) < 4 {
			return 0, 0, nil
		}
		return 4, int(binary.BigEndian.Uint16(b[2:])), nil
	default:
		if len(b) < 10 {
			return 0, 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxFrame {
			return 0, 0, errFrame
		}
		return 10, int(long), nil
	}
}

// appendRequest appends a frame as a client sends it. Its mask is of zeros, which changes
// nothing: a mask is there against what web pages could send, and the load is none.
func appendRequest(dst []byte, op ws.OpCode, payload ...[]byte) []byte {
	length := 0
	for _, part := range payload {
		length += len(part)
	}
	const masked = 0x80
	dst = appendHeader(dst, op, masked, length)
	dst = append(dst, 0, 0, 0, 0)
	for _, part := range payload {
		dst = append(dst, part...)
	}
	return dst
}

// appendHeader appends the header of a frame, without a mask's bytes.
func appendHeader(dst []byte, op ws.OpCode, masked byte, length int) []byte {
	const final = 0x80
	dst = append(dst, final|byte(op))
	switch {
	case length < 126:
		return append(dst, masked|byte(length)) //nolint:gosec // it fits
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(length))
	}
}

// unexpected says what a frame is that nobody waited for.
func unexpected(f frame) error {
	if f.op != ws.OpClose {
		return fmt.Errorf("the server said: %.200s", f.payload)
	}
	code, reason := ws.ParseCloseFrameData(f.payload)
	return fmt.Errorf("the server closed the connection: %d %s", code, reason)
}
