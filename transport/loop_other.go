//go:build !linux

package transport

import (
	"errors"
	"net"
)

const hasEpoll = false

// loop is not there: see ModeEpoll.
type loop struct{}

func newLoop(*lenders) (*loop, error) { return nil, errors.New("epoll is on Linux only") }

func (*loop) run() {}

func (*loop) close() error { return nil }

func copyDescriptor(*net.TCPConn, []*loop) (socket, error) { return nil, errors.ErrUnsupported }
