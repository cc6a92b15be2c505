package transport

import (
	"runtime"
	"testing"

	"fanfare/models"
)

// A loop keeps nothing of connections that are gone.
func TestLoopForgets(t *testing.T) {
	s := start(t, patient(ModeEpoll))
	for range 20 {
		s.meet(t, "\x00\x00").leave(models.CloseProtocolError)
	}
	for s.carrier.count() > 0 {
		runtime.Gosched()
	}
	for _, l := range s.carrier.loops {
		l.mu.Lock()
		for fd, d := range l.watched {
			if d != nil {
				t.Errorf("descriptor %d is still watched", fd)
			}
		}
		l.mu.Unlock()
	}
}

// count tells how many connections there are.
func (t *Carrier) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live
}
