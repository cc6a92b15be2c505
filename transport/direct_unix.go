//go:build unix

package transport

import (
	"net"
	"syscall"
)

// directWriter writes to a socket as much as fits, without blocking. It belongs to one
// goroutine at a time. A nil writer takes nothing.
type directWriter struct {
	raw syscall.RawConn
	try func(fd uintptr) bool

	out     []byte
	written int
	err     error
}

// newDirectWriter gives nil for a connection that is no socket, such as one with TLS.
func newDirectWriter(conn net.Conn) *directWriter {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	w := &directWriter{raw: raw}
	w.try = w.tryWrite
	return w
}

func (w *directWriter) write(b []byte) (int, error) {
	if w == nil {
		return 0, nil
	}
	w.out, w.written, w.err = b, 0, nil
	if err := w.raw.Write(w.try); err != nil {
		return 0, err
	}
	w.out = nil
	return w.written, w.err
}

// tryWrite never asks to be called again.
func (w *directWriter) tryWrite(fd uintptr) bool {
	for w.written < len(w.out) {
		n, err := syscall.Write(int(fd), w.out[w.written:])
		switch err {
		case nil:
			w.written += n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}
