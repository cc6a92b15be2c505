package app

import (
	"fmt"
	"io"
	"time"
)

// progressInterval is how often a terminal is told how far something is.
const progressInterval = 500 * time.Millisecond

// progress tells people how far something is, on one line that changes.
type progress struct {
	w     io.Writer // nil if there is nobody to read it
	begin time.Time
	told  time.Time
}

// newProgress tells it on stderr, if that is a terminal, and stdout is none or quiet: else the line would be in the way.
func (c command) newProgress(quiet bool) *progress {
	p := &progress{begin: time.Now()}
	p.told = p.begin
	if c.errTerminal && (!c.outTerminal || quiet) {
		p.w = c.stderr
	}
	return p
}

// count says how many messages there were until now.
func (p *progress) count(messages int) {
	if p.w == nil || time.Since(p.told) < progressInterval {
		return
	}
	p.told = time.Now()
	_, _ = fmt.Fprintf(p.w, "\r%d messages, %.0f/s\x1b[K", messages, float64(messages)/time.Since(p.begin).Seconds())
}

// end leaves the line to others.
func (p *progress) end() {
	if p.w != nil && p.told != p.begin {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
