package transport

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const hasEpoll = true

// maxEvents is how many events are taken from the kernel at once.
const maxEvents = 128

// interest is what an epoll instance is asked to tell, once for each time that it becomes
// so: no descriptor is armed again, and room is told of only to those whose write came
// back short.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// loop watches over descriptors with one epoll instance. That is itself watched by the
// runtime's poller, so a loop that has nothing to do is a goroutine that waits and no
// thread that hangs in the kernel.
type loop struct {
	// Set by newLoop, never changed.
	file    *os.File
	raw     syscall.RawConn
	fd      int
	lenders *lenders

	// mu guards the descriptors that are watched, by number.
	mu      sync.Mutex
	watched []*descriptor
}

func newLoop(l *lenders) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Without it, the runtime would not watch the file.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &loop{file: file, raw: raw, fd: fd, lenders: l}, nil
}

// run hands out what happens, until the loop is closed.
func (l *loop) run() {
	events := make([]unix.EpollEvent, maxEvents)
	happened := make([]*descriptor, 0, maxEvents)
	for {
		n := 0
		err := l.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = pollNow(int(fd), events)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil {
			return
		}
		happened = l.find(events[:max(n, 0)], happened[:0])
		for i, d := range happened {
			if d == nil {
				continue
			}
			switch {
			case events[i].Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
				d.hasRoom()
			case events[i].Events&unix.EPOLLOUT != 0:
				d.conn.tookSome()
				d.hasRoom()
			}
			if events[i].Events&^unix.EPOLLOUT != 0 {
				d.conn.wake()
			}
		}
		clear(happened)
	}
}

// find gives the descriptor of each event, nil for one that is gone. If the number is
// another's by now, that one looks in vain, which does no harm.
func (l *loop) find(events []unix.EpollEvent, found []*descriptor) []*descriptor {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		found = append(found, l.watched[e.Fd])
	}
	return found
}

func (l *loop) add(d *descriptor) error {
	l.mu.Lock()
	if missing := d.fd + 1 - len(l.watched); missing > 0 {
		l.watched = append(l.watched, make([]*descriptor, missing)...)
	}
	l.watched[d.fd] = d
	l.mu.Unlock()
	event := unix.EpollEvent{Events: uint32(interest & 0xFFFFFFFF), Fd: int32(d.fd)} //nolint:gosec // a descriptor
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, d.fd, &event))
}

func (l *loop) remove(d *descriptor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.fd < len(l.watched) {
		l.watched[d.fd] = nil
	}
	_ = unix.EpollCtl(l.fd, unix.EPOLL_CTL_DEL, d.fd, nil)
}

// close ends run.
func (l *loop) close() error { return l.file.Close() }
