package broker_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"fanfare/broker"
	"fanfare/models"
)

// lineFormat is a wire format for tests: a JSON object a line.
type lineFormat struct{}

func (lineFormat) Message(m *models.Message) []byte {
	return append(m.AppendFrame(nil), '\n')
}

func (lineFormat) Event(frame models.ServerFrame) []byte {
	return append(models.AppendServerFrame(nil, frame), '\n')
}

func (f lineFormat) Heartbeat(position models.ID) []byte {
	ping := []byte(`{"type":"ping"}` + "\n")
	if position == (models.ID{}) {
		return ping
	}
	return append(f.Event(models.NewPosition(position)), ping...)
}

func (lineFormat) Close(code models.CloseCode) []byte {
	return fmt.Appendf(nil, "{\"type\":\"close\",\"code\":\"%d\"}\n", code)
}

// line is any frame as a test reads it.
type line struct {
	Type      string          `json:"type"`
	Code      string          `json:"code"`
	Action    models.Action   `json:"action"`
	ID        models.ID       `json:"id"`
	Topic     string          `json:"topic"`
	Topics    []string        `json:"topics"`
	Data      any             `json:"data"`
	Count     uint64          `json:"count"`
	ClientID  string          `json:"client_id"`
	User      string          `json:"user"`
	Clients   []models.Member `json:"clients"`
	Next      string          `json:"next"`
	Recovered *bool           `json:"recovered"`
	// Unreachable is of a presence.
	Unreachable []string `json:"unreachable"`
	Ref         int      `json:"ref"`
}

// pipe is a broker.Conn whose other end is the test. What is written can be taken with
// next; a pipe that is stuck takes nothing, a narrow one little at a time.
type pipe struct {
	t *testing.T

	mu      sync.Mutex
	changed *sync.Cond
	partial []byte
	lines   []line
	room    func()
	stuck   bool
	narrow  int
	// left is how much is taken before the pipe is stuck, 0 for no such end.
	left   int
	taken  uint64
	broken error
	closed models.CloseCode
	// writing is called at the start of every Write, outside of mu.
	writing func()
}

func newPipe(t *testing.T) *pipe {
	p := &pipe{t: t}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) Format() models.Format { return lineFormat{} }

func (p *pipe) Write(b []byte, room func()) (int, error) {
	if p.writing != nil {
		p.writing()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return 0, p.broken
	}
	n := len(b)
	switch {
	case p.stuck:
		n = 0
	case p.narrow > 0:
		n = min(n, p.narrow)
	case p.left > 0:
		n = min(n, p.left)
		p.left -= n
		p.stuck = p.left == 0
	}
	if n < len(b) {
		p.room = room
		if !p.stuck {
			go p.open()
		}
	}
	p.taken += uint64(n)
	p.partial = append(p.partial, b[:n]...)
	for {
		text, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			break
		}
		var l line
		if err := json.Unmarshal(bytes.TrimRight(text, " "), &l); err != nil {
			p.t.Errorf("a broken frame: %v: %.200q", err, text)
		}
		p.lines = append(p.lines, l)
		p.partial = rest
	}
	p.changed.Broadcast()
	return n, nil
}

func (p *pipe) Close(code models.CloseCode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = code
	p.changed.Broadcast()
}

// size is how much was taken, in bytes.
func (p *pipe) size() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// open lets the one in who waits for room.
func (p *pipe) open() {
	p.mu.Lock()
	p.stuck = false
	room := p.room
	p.room = nil
	p.mu.Unlock()
	if room != nil {
		room()
	}
}

func (p *pipe) stick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = true
}

// jam makes the next Write, and the shard in it, stand still until release is called.
// stuck is closed when it does.
func (p *pipe) jam() (stuck <-chan struct{}, release func()) {
	entered, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = func() {
		once.Do(func() {
			close(entered)
			<-released
		})
	}
	return entered, func() { close(released) }
}

// awaitStuck waits until no more is taken.
func (p *pipe) awaitStuck() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stuck {
		p.changed.Wait()
	}
}

// next waits for the next frame.
func (p *pipe) next() line {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.lines) == 0 {
		p.changed.Wait()
	}
	l := p.lines[0]
	p.lines = p.lines[1:]
	return l
}

// want waits for the next frame and checks its type.
func (p *pipe) want(kind string) line {
	p.t.Helper()
	l := p.next()
	if l.Type != kind {
		p.t.Fatalf("frame %+v, want %s", l, kind)
	}
	return l
}

// awaitClose waits until the broker has closed the connection.
func (p *pipe) awaitClose() models.CloseCode {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.closed == 0 {
		p.changed.Wait()
	}
	return p.closed
}

// defaults are options that no test runs into.
func defaults() broker.Options {
	return broker.Options{
		MessageSize:   1 << 20,
		FrameSize:     1 << 20,
		OutboxSize:    64 << 20,
		Subscriptions: 1000,
		InFlightSize:  64 << 20,
		PublishWait:   minute,
		PingInterval:  minute,
	}
}
