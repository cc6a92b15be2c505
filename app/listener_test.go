package app

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// failingListener fails with the errors that it has, one each, and then is closed.
type failingListener struct {
	net.Listener
	errors []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errors) == 0 {
		return nil, net.ErrClosed
	}
	err := l.errors[0]
	l.errors = l.errors[1:]
	return nil, err
}

func TestSteadyListener(t *testing.T) {
	failed := func(errno syscall.Errno) error {
		return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}
	}
	inner := &failingListener{errors: []error{failed(syscall.EMFILE), failed(syscall.EMFILE), failed(syscall.ECONNABORTED)}}
	var log strings.Builder
	l := newSteadyListener(inner, slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if n := strings.Count(log.String(), "accept_failed"); n != 1 {
		t.Errorf("a row of errors was logged %d times:\n%s", n, log.String())
	}
	inner.errors = []error{failed(syscall.EBADF)}
	if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("an error that stays: %v", err)
	}
}
