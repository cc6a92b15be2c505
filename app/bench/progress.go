package bench

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells people which scenario is under way, and for how long, on one line that changes.
type progress struct {
	w    io.Writer
	stop chan struct{}
	over sync.WaitGroup
	once sync.Once
}

// newProgress begins with it. Without a writer it tells nobody.
func newProgress(w io.Writer, scenario string) *progress {
	p := &progress{w: w, stop: make(chan struct{})}
	if w == nil {
		return p
	}
	p.over.Go(func() {
		begin, ticker := time.Now(), time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_, _ = fmt.Fprintf(w, "\r%s: %v\x1b[K", scenario, time.Since(begin).Round(time.Second))
			case <-p.stop:
				_, _ = fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	})
	return p
}

// end leaves the line to others. It may be called again.
func (p *progress) end() {
	p.once.Do(func() { close(p.stop) })
	p.over.Wait()
}
