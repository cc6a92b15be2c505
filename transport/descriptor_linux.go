package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptor is a socket without anything of Go's around it. An epoll loop watches it; a
// buffer is lent to it only while it is being read.
type descriptor struct {
	// Set before the loop knows it, never changed.
	fd   int
	loop *loop
	conn *Conn

	// Owned by the goroutine that reads.
	lent *buffer

	// mu keeps the descriptor open while it is used. It is never held for long: nothing
	// here waits.
	mu     sync.Mutex
	closed bool
	// room is who waits until more can be written.
	room func()
}

// copyDescriptor takes a copy of a connection's descriptor and closes the connection's
// own.
func copyDescriptor(tcp *net.TCPConn, loops []*loop) (*descriptor, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var copyErr error
	if err := raw.Control(func(own uintptr) {
		fd, copyErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, err
	}
	if copyErr != nil {
		return nil, os.NewSyscallError("fcntl", copyErr)
	}
	_ = tcp.Close()
	return &descriptor{fd: fd, loop: loops[fd%len(loops)]}, nil
}

func (d *descriptor) begin(c *Conn) error {
	d.conn = c
	return d.loop.add(d)
}

func (d *descriptor) read() ([]byte, error) {
	if d.lent == nil {
		d.lent = d.loop.lenders.lend()
	}
	for {
		n, err := readNow(d.fd, d.lent[:])
		switch {
		case n > 0:
			return d.lent[:n], nil
		case err == nil:
			d.giveBack()
			return nil, io.EOF
		case errors.Is(err, syscall.EAGAIN):
			d.giveBack()
			return nil, errNothing
		case !errors.Is(err, syscall.EINTR):
			d.giveBack()
			return nil, os.NewSyscallError("read", err)
		}
	}
}

// willWait is never so: read does not wait.
func (d *descriptor) willWait() bool { return false }

func (d *descriptor) giveBack() {
	d.loop.lenders.takeBack(d.lent)
	d.lent = nil
}

func (d *descriptor) write(b []byte, room func()) (written int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, net.ErrClosed
	}
	for written < len(b) {
		n, err := writeNow(d.fd, b[written:])
		switch {
		case err == nil:
			written += n
		case errors.Is(err, syscall.EAGAIN):
			// The loop cannot have told of room yet that was made after this: it needs mu.
			d.room = room
			return written, nil
		case !errors.Is(err, syscall.EINTR):
			return written, os.NewSyscallError("write", err)
		}
	}
	return written, nil
}

// hasRoom tells whoever waits for it that more can be written.
func (d *descriptor) hasRoom() {
	d.mu.Lock()
	room := d.room
	d.room = nil
	d.mu.Unlock()
	if room != nil {
		room()
	}
}

func (d *descriptor) interrupt() { d.conn.wake() }

func (d *descriptor) closeWrite() { d.shutdown(unix.SHUT_WR) }

func (d *descriptor) cut() {
	d.forgetUnsent()
	d.shutdown(unix.SHUT_RDWR)
	d.hasRoom()
	d.conn.wake()
}

// forgetUnsent has close drop what is not sent by then: the kernel would keep it, for a peer
// that takes nothing, for minutes.
func (d *descriptor) forgetUnsent() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		_ = unix.SetsockoptLinger(d.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
}

func (d *descriptor) shutdown(how int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		_ = unix.Shutdown(d.fd, how)
	}
}

// close takes the descriptor from its loop before it frees the number for another.
func (d *descriptor) close() {
	d.loop.remove(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	_ = unix.Close(d.fd)
}
