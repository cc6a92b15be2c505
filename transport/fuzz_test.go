package transport

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParser: however the bytes arrive, the parser finds what the oracle finds in them.
// The sizes are those of the pieces, less one, again and again.
func FuzzParser(f *testing.F) {
	const limit = 300
	for _, d := range dialogues() {
		if len(d.stream) < 2*limit {
			f.Add([]byte(d.stream), []byte{0, 1, 4}, uint16(limit))
		}
	}
	o := newOracle()
	f.Fuzz(func(t *testing.T, stream, sizes []byte, limit uint16) {
		want, wantCode := o.decode(stream, int(limit))
		for name, pieces := range map[string]func(func([]byte) bool){
			"at once":      slices.Values([][]byte{stream}),
			"byte by byte": slices.Chunk(stream, 1),
			"in pieces":    chop(stream, sizes),
		} {
			got, code := parse(t, int(limit), pieces)
			if diff := cmp.Diff(want, got); diff != "" || code != wantCode {
				t.Errorf("%s: code %d, want %d; (-want +got):\n%s", name, code, wantCode, diff)
			}
		}
	})
}

// chop gives a stream in pieces.
func chop(stream, sizes []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i := 0; len(stream) > 0; i++ {
			size := len(stream)
			if len(sizes) > 0 {
				size = min(size, int(sizes[i%len(sizes)])+1)
			}
			if !yield(stream[:size]) {
				return
			}
			stream = stream[size:]
		}
	}
}
