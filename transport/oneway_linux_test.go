package transport

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Between two writes a connection that goes one way has neither goroutine nor buffer.
func TestOneWayRests(t *testing.T) {
	conn, p := start(t, patient(ModeEpoll)).listen(t, "early")
	r := read(conn)
	rests := func() {
		t.Helper()
		// To look, one has to be the one who reads.
		eventually(t, "nobody reads", func() bool { return conn.state.CompareAndSwap(idle, serving) })
		if conn.socket.(*descriptor).lent != nil {
			t.Error("it has a buffer")
		}
		go conn.serve()
	}
	rests()
	p.send("and late")
	rests()
	if err := r.writer.write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	rests()
}

// A peer that has no room for what it is sent, or does not answer at all, is lost when it
// has been silent for too long: the kernel sees to it.
func TestOneWayPeerThatTakesNothingIsLost(t *testing.T) {
	inEachMode(t, func(t *testing.T, options Options) {
		options.Silence = 100 * time.Millisecond
		conn, _ := start(t, options).listen(t, "")
		r := read(conn)
		newWriter(conn).fill(t, numbered(0))
		await(t, r.ended)
	})
}

// A peer whose machine is gone cannot be had here. It is the same option.
func TestOneWayOptions(t *testing.T) {
	options := patient(ModeEpoll)
	options.Silence = 35 * time.Second
	conn, _ := start(t, options).listen(t, "")
	read(conn)
	fd := conn.socket.(*descriptor).fd
	for name, tt := range map[string]struct{ level, option, want int }{
		"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 35_000},
		"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0},
		"SO_SNDBUF":        {unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * kernelBuffer},
	} {
		if got, err := unix.GetsockoptInt(fd, tt.level, tt.option); err != nil || got != tt.want {
			t.Errorf("%s: %d, want %d, %v", name, got, tt.want, err)
		}
	}
}
