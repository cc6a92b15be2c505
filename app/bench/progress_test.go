package bench

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgress: once a second it is told what is under way, and the line is gone in the end.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, "paced")
		time.Sleep(2500 * time.Millisecond)
		p.end()
		p.end()
		if diff := cmp.Diff("\rpaced: 1s\x1b[K\rpaced: 2s\x1b[K\r\x1b[K", out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		newProgress(nil, "paced").end()
	})
}
