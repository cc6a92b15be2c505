package app

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failingListener fails with the errors that it has, one each; nil is a connection. Then
// it is closed.
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

func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", errno)}
}

// TestSteadyListener: errors that pass do not end it, want of descriptors has it shed
// connections, and a row of errors is logged once, whatever got through between them.
func TestSteadyListener(t *testing.T) {
	full, gone := acceptError(syscall.EMFILE), acceptError(syscall.ECONNABORTED)
	tests := map[string]struct {
		errors []error
		// calm is a pause before the last accept.
		calm         time.Duration
		shed, logged int
	}{
		"all is well":                   {errors: []error{nil, nil}},
		"descriptors":                   {errors: []error{full, full, nil}, shed: 2, logged: 1},
		"descriptors of the system":     {errors: []error{acceptError(syscall.ENFILE), nil}, shed: 1, logged: 1},
		"a peer that is gone":           {errors: []error{gone, gone, nil}, logged: 1},
		"again after some got through":  {errors: []error{full, nil, full, nil, nil, full}, shed: 3, logged: 1},
		"again, and then after a while": {errors: []error{full, nil, full, nil, full}, calm: acceptCalm + 1, shed: 3, logged: 2},
		"again, a moment later":         {errors: []error{full, nil, full}, calm: acceptCalm - time.Second, shed: 2, logged: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				shed := 0
				inner := &failingListener{errors: tt.errors[:len(tt.errors)-1]}
				l := newSteadyListener(inner, slog.New(slog.NewTextHandler(&log, nil)), func(n int) int {
					shed++
					return n
				})
				accept := func() {
					for {
						if _, err := l.Accept(); errors.Is(err, net.ErrClosed) {
							return
						} else if err != nil {
							t.Fatalf("accept: %v", err)
						}
					}
				}
				accept()
				time.Sleep(tt.calm)
				inner.errors = tt.errors[len(tt.errors)-1:]
				accept()
				if n := strings.Count(log.String(), "accept_failed"); n != tt.logged || shed != tt.shed {
					t.Errorf("shed %d times, want %d; logged %d times, want %d:\n%s", shed, tt.shed, n, tt.logged, log.String())
				}
			})
		})
	}
}

func TestSteadyListenerEnds(t *testing.T) {
	stays := &failingListener{errors: []error{acceptError(syscall.EBADF)}}
	l := newSteadyListener(stays, slog.New(slog.DiscardHandler), nil)
	if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("an error that stays: %v", err)
	}
	// It would try for good, had it not been closed.
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = newSteadyListener(inner, slog.New(slog.DiscardHandler), nil)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}
