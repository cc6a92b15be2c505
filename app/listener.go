package app

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// acceptPause is how long a server that cannot accept waits before it tries again.
	acceptPause = 10 * time.Millisecond
	// acceptCalm is how long accepting must go well until a failure is news again.
	acceptCalm = 10 * time.Second
	// shedAtOnce is how many connections are given up before it tries again, for want of
	// descriptors. They are free a moment later.
	shedAtOnce = 32
)

// steadyListener goes on accepting after errors that pass: no descriptor is free, or the
// peer was gone before it was accepted. The server behind it would end at the first.
type steadyListener struct {
	net.Listener
	logger *slog.Logger
	// shed closes up to n connections that can be spared, and tells how many.
	shed func(n int) int

	// failed is when accepting failed last. Owned by Accept, of which one runs at a time.
	failed time.Time

	closing sync.Once
	closed  chan struct{}
}

func newSteadyListener(listener net.Listener, logger *slog.Logger, shed func(n int) int) *steadyListener {
	return &steadyListener{Listener: listener, logger: logger, shed: shed, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *steadyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		shed := 0
		if wantsDescriptors(err) {
			shed = l.shed(shedAtOnce)
		}
		if time.Since(l.failed) > acceptCalm {
			l.logger.Warn("accept_failed", "error", err, "shed", shed)
		}
		l.failed = time.Now()
		select {
		case <-time.After(acceptPause):
		case <-l.closed:
		}
	}
}

// Close implements net.Listener.
func (l *steadyListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// passes tells whether an error of accept(2) is one that goes away by itself.
func passes(err error) bool {
	return wantsDescriptors(err) || isOneOf(err, syscall.ECONNABORTED, syscall.ENOBUFS, syscall.ENOMEM)
}

// wantsDescriptors tells whether the process, or the system, has no descriptor left.
func wantsDescriptors(err error) bool { return isOneOf(err, syscall.EMFILE, syscall.ENFILE) }

func isOneOf(err error, numbers ...syscall.Errno) bool {
	return slices.ContainsFunc(numbers, func(number syscall.Errno) bool { return errors.Is(err, number) })
}
