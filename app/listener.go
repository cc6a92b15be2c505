package app

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long a server that cannot accept waits before it tries again.
const acceptPause = 50 * time.Millisecond

// steadyListener goes on accepting after errors that pass: no descriptor is free, or the
// peer was gone before it was accepted. The server behind it would end at the first.
type steadyListener struct {
	net.Listener
	logger *slog.Logger

	closing sync.Once
	closed  chan struct{}
}

func newSteadyListener(listener net.Listener, logger *slog.Logger) *steadyListener {
	return &steadyListener{Listener: listener, logger: logger, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *steadyListener) Accept() (net.Conn, error) {
	for failing := false; ; failing = true {
		conn, err := l.Listener.Accept()
		if err == nil || !passes(err) {
			return conn, err
		}
		if !failing {
			l.logger.Warn("accept_failed", "error", err)
		}
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
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
