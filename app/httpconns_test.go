package app

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
)

// namedConn notes that it was closed.
type namedConn struct {
	net.Conn
	name   string
	closed *[]string
}

func (c *namedConn) Close() error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

// TestShed: those without a request go, oldest first, and those that are at one stay.
func TestShed(t *testing.T) {
	type step struct {
		name  string
		state fasthttp.ConnState
	}
	const (
		fresh    = fasthttp.StateNew
		reading  = fasthttp.StateActive
		idle     = fasthttp.StateIdle
		hijacked = fasthttp.StateHijacked
		closed   = fasthttp.StateClosed
		pause    = -1 // time passes
	)
	tests := map[string]struct {
		steps []step
		n     int
		want  []string
	}{
		"nothing":                     {n: 2},
		"the only one":                {steps: []step{{"a", fresh}, {"", pause}}, n: 2, want: []string{"a"}},
		"none that has just come":     {steps: []step{{"a", fresh}, {"", pause}, {"b", fresh}}, n: 2, want: []string{"a"}},
		"none that has just ended":    {steps: []step{{"a", reading}, {"", pause}, {"a", idle}}, n: 2},
		"oldest first":                {steps: []step{{"a", fresh}, {"b", fresh}, {"c", fresh}, {"d", fresh}, {"", pause}}, n: 2, want: []string{"a", "b"}},
		"no more than asked for":      {steps: []step{{"a", fresh}, {"b", fresh}, {"c", fresh}, {"d", fresh}, {"", pause}}, n: 1, want: []string{"a"}},
		"idle since the last request": {steps: []step{{"a", idle}, {"b", fresh}, {"a", reading}, {"a", idle}, {"", pause}}, n: 1, want: []string{"b"}},
		"half a request as nothing":   {steps: []step{{"a", reading}, {"b", fresh}, {"c", idle}, {"d", reading}, {"", pause}}, n: 3, want: []string{"a", "b", "c"}},
		"none that is being answered": {steps: []step{{"a", reading}, {"a", stateHandling}, {"b", fresh}, {"", pause}}, n: 2, want: []string{"b"}},
		"none that has gone":          {steps: []step{{"a", fresh}, {"b", fresh}, {"a", closed}, {"b", hijacked}, {"", pause}}, n: 2},
	}
	for name, tt := range tests {
		t.Run(name, inBubble(func(t *testing.T) {
			var closed []string
			conns, named := newHTTPConns(), make(map[string]net.Conn)
			for _, s := range tt.steps {
				if s.state == pause {
					time.Sleep(minShedAge)
					continue
				}
				time.Sleep(time.Millisecond)
				if named[s.name] == nil {
					named[s.name] = &namedConn{name: s.name, closed: &closed}
				}
				conns.track(named[s.name], s.state)
			}
			if n := conns.shed(tt.n); n != len(tt.want) {
				t.Errorf("shed %d", n)
			}
			if diff := cmp.Diff(tt.want, closed); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			before := slices.Clone(closed)
			conns.closeAll()
			for _, name := range before {
				if slices.Contains(closed[len(before):], name) {
					t.Errorf("%s was closed twice", name)
				}
			}
		}))
	}
}

// inBubble gives a test a clock of its own.
func inBubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}
