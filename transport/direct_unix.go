//go:build unix

package transport

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// directWriter writes to a socket as much as fits, without blocking. It belongs to one
// goroutine at a time. A nil writer takes nothing.
type directWriter struct {
	raw    syscall.RawConn
	lender *sync.Pool
}

// attempt is one write. It is lent to a directWriter: most of the time, nobody writes.
type attempt struct {
	out     []byte
	written int
	err     error
	// try is what RawConn.Write is given.
	try func(fd uintptr) bool
}

// newDirectWriter gives nil for a connection that is no socket, such as one with TLS.
func newDirectWriter(conn net.Conn, lender *sync.Pool) *directWriter {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return &directWriter{raw: raw, lender: lender}
}

func (w *directWriter) write(b []byte) (int, error) {
	if w == nil {
		return 0, nil
	}
	a, ok := w.lender.Get().(*attempt)
	if !ok {
		a = new(attempt)
		a.try = a.write
	}
	defer w.lender.Put(a)
	a.out, a.written, a.err = b, 0, nil
	err := w.raw.Write(a.try)
	a.out = nil
	if err != nil {
		return 0, err
	}
	return a.written, a.err
}

// write never asks to be called again.
func (a *attempt) write(fd uintptr) bool {
	for a.written < len(a.out) {
		n, err := syscall.Write(int(fd), a.out[a.written:])
		switch {
		case err == nil:
			a.written += n
		case errors.Is(err, syscall.EAGAIN):
			return true
		case !errors.Is(err, syscall.EINTR):
			a.err = err
			return true
		}
	}
	return true
}
