package transport

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"fanfare/models"
)

// stock is a socket that has so many empty pings to read.
type stock struct {
	socket
	t     *testing.T
	pings atomic.Int64
	// reading tells that somebody is in read, drained is called when there is nothing.
	reading atomic.Bool
	drained func()
	ended   bool
}

func (s *stock) read() ([]byte, error) {
	if s.reading.Swap(true) {
		s.t.Error("two read at the same time")
	}
	defer s.reading.Store(false)
	if s.pings.Add(-1) >= 0 {
		return []byte(fromClient(0x89, "")), nil
	}
	s.pings.Add(1)
	if s.ended {
		return nil, io.EOF
	}
	s.drained()
	return nil, errNothing
}

func (s *stock) willWait() bool { return false }
func (s *stock) closeWrite()    {}
func (s *stock) close()         {}

// count is a Session that counts what it replies.
type count struct{ replies atomic.Int64 }

func (c *count) Receive([]byte, bool)   {}
func (c *count) Reply([]byte)           { c.replies.Add(1) }
func (c *count) Ended(models.CloseCode) {}

// newStocked gives a Conn that nobody reads, over a stock.
func newStocked(t *testing.T) (*Conn, *stock, *count) {
	t.Helper()
	options := patient(ModeGoroutine)
	s, answered := &stock{t: t, drained: func() {}}, &count{}
	carrier := &Carrier{options: options, wheel: newWheel(options.Silence, options.Linger)}
	c := &Conn{carrier: carrier, socket: s, session: answered, parser: parser{limit: options.FrameSize}}
	carrier.wheel.add(c)
	return c, s, answered
}

// What comes just after the socket was found empty, and before its reader has gone, is
// read, too.
func TestWakeWhileTheReaderGoes(t *testing.T) {
	c, s, answered := newStocked(t)
	late := 3
	s.drained = func() {
		if late--; late >= 0 {
			s.pings.Add(1)
			c.wake()
		}
	}
	c.state.Store(serving)
	c.serve()
	if got := answered.replies.Load(); got != 3 || c.state.Load() != idle {
		t.Errorf("%d of 3 were read, the state is %d", got, c.state.Load())
	}
	s.ended = true
	c.state.Store(serving)
	c.serve()
	if got := c.carrier.wheel.all(); len(got) > 0 {
		t.Errorf("%d connections are left", len(got))
	}
}

// Whatever the order in which it comes, is told of and is read, nothing stays unread and
// one goroutine reads at a time.
func TestWakesAtAllMoments(t *testing.T) {
	const rounds, wakers = 3000, 4
	c, s, answered := newStocked(t)
	empty := make(chan struct{}, 1)
	s.drained = func() {
		select {
		case empty <- struct{}{}:
		default:
		}
	}
	for round := range int64(rounds) {
		var waking sync.WaitGroup
		for range wakers {
			waking.Go(func() {
				s.pings.Add(1)
				c.wake()
			})
		}
		waking.Wait()
		for answered.replies.Load() < (round+1)*wakers {
			await(t, empty)
		}
	}
	for c.state.Load() != idle {
		runtime.Gosched()
	}
}
