package transport

import (
	"math/rand/v2"
	"testing"
	"time"
)

// fakeSocket notes what the wheel does to it.
type fakeSocket struct {
	socket
	interrupted, isCut bool
}

func (s *fakeSocket) interrupt() { s.interrupted = true }

func (s *fakeSocket) cut() { s.isCut = true }

func newFake(w *wheel) (*Conn, *fakeSocket) {
	s := &fakeSocket{}
	c := &Conn{socket: s}
	w.add(c)
	return c, s
}

func TestTicks(t *testing.T) {
	for name, tt := range map[string]struct {
		silence, linger, tick time.Duration
	}{
		"the defaults":        {35 * time.Second, 5 * time.Second, 625 * time.Millisecond},
		"both are long":       {time.Hour, time.Minute, time.Second},
		"one is very short":   {time.Millisecond, time.Minute, time.Millisecond},
		"the silence is less": {80 * time.Millisecond, time.Second, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWheel(tt.silence, tt.linger)
			if w.tick != tt.tick {
				t.Errorf("a tick is %v, want %v", w.tick, tt.tick)
			}
			if got := time.Duration(w.silence) * w.tick; got < tt.silence || got >= tt.silence+w.tick {
				t.Errorf("silence is %v", got)
			}
			if got := time.Duration(w.linger) * w.tick; got < tt.linger || got >= tt.linger+w.tick {
				t.Errorf("linger is %v", got)
			}
		})
	}
}

func TestSilenceEndsAtItsTick(t *testing.T) {
	w := newWheel(80*time.Millisecond, 80*time.Millisecond) // 8 ticks
	c, s := newFake(w)
	for range 5 {
		w.advance()
	}
	c.heard.Store(w.now.Load())
	for i := range 9 {
		if s.interrupted {
			t.Fatalf("interrupted after %d ticks of silence", i)
		}
		w.advance()
	}
	if !s.interrupted || s.isCut {
		t.Errorf("after 9 ticks of silence: %+v", s)
	}
}

func TestAnsweringIsNoSilence(t *testing.T) {
	w := newWheel(80*time.Millisecond, 80*time.Millisecond)
	c, s := newFake(w)
	c.heard.Store(handling)
	for range 100 {
		w.advance()
	}
	if s.interrupted {
		t.Error("interrupted")
	}
}

func TestLingerEndsAtItsTick(t *testing.T) {
	w := newWheel(160*time.Millisecond, 80*time.Millisecond)
	c, s := newFake(w)
	w.startLinger(c)
	for i := range 9 {
		if s.isCut {
			t.Fatalf("cut after %d ticks", i)
		}
		c.heard.Store(w.now.Load()) // counts no more
		w.advance()
	}
	if !s.isCut {
		t.Error("not cut")
	}
	// Until it is removed, the wheel insists.
	s.isCut = false
	for range 9 {
		w.advance()
	}
	if !s.isCut {
		t.Error("not cut again")
	}
	w.remove(c)
	if all := w.all(); len(all) != 0 {
		t.Errorf("%d connections are left", len(all))
	}
}

// Against a table of plain deadlines: thousands of connections that come, are heard, close
// and leave, at random.
func TestWheelAgainstATable(t *testing.T) {
	seed := rand.Uint64()                    //nolint:gosec // a test
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
	w := newWheel(300*time.Millisecond, 100*time.Millisecond)
	type entry struct {
		socket    *fakeSocket
		deadline  int64
		lingering bool
	}
	table := make(map[*Conn]*entry)
	for range 20_000 {
		now := w.now.Load()
		switch random.IntN(4) {
		case 0:
			c, s := newFake(w)
			table[c] = &entry{socket: s, deadline: now + w.silence + 1}
		case 1:
			for c, e := range table { // any one
				if !e.lingering {
					c.heard.Store(now)
					e.deadline = now + w.silence + 1
				}
				break
			}
		case 2:
			for c, e := range table {
				if w.startLinger(c); !e.lingering {
					e.lingering, e.deadline = true, now+w.linger+1
				}
				break
			}
		case 3:
			w.advance()
			now++
			for c, e := range table {
				if ended, due := e.socket.interrupted || e.socket.isCut, e.deadline <= now; ended != due {
					t.Fatalf("seed %d, tick %d, deadline %d: ended %v", seed, now, e.deadline, ended)
				}
				if e.deadline <= now {
					w.remove(c)
					delete(table, c)
				}
			}
		}
		if len(w.all()) != len(table) {
			t.Fatalf("seed %d: the wheel has %d, the table %d", seed, len(w.all()), len(table))
		}
	}
}

// TestMakingRoomIsNoSilence: a peer that takes what is written is there, even if it sends
// nothing.
func TestMakingRoomIsNoSilence(t *testing.T) {
	w := newWheel(80*time.Millisecond, 80*time.Millisecond)
	c, s := newFake(w)
	c.carrier = &Carrier{wheel: w}
	for range 100 {
		w.advance()
		c.tookSome()
	}
	if s.interrupted {
		t.Error("interrupted")
	}
	c.heard.Store(handling)
	c.tookSome()
	if c.heard.Load() != handling {
		t.Error("what it sent is not being answered any more")
	}
}
