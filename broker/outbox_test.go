package broker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestOutboxAgainstABuffer writes frames of random sizes in chunks of random sizes:
// what leaves is what came, and the counts are right.
func TestOutboxAgainstABuffer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test's chance
	var o outbox
	var memory outboxMemory
	var came, left bytes.Buffer
	scratch := make([]byte, 0, 100)
	messages, counted := 0, 0
	for i := range 50_000 {
		if random.IntN(5) < 2 {
			f := ownFrame(bytes.Repeat([]byte{byte(i)}, 1+random.IntN(150)))
			if random.IntN(2) == 0 {
				f.payload.topic = "a"
				messages++
			}
			came.Write(f.bytes())
			o.push(f, &memory)
		} else if !o.empty() {
			chunk := o.chunk(scratch)
			n := random.IntN(len(chunk) + 1)
			left.Write(chunk[:n])
			counted += o.advance(n, &memory)
		}
		if o.size != came.Len()-left.Len() {
			t.Fatalf("size %d, want %d", o.size, came.Len()-left.Len())
		}
		if waste := o.first; waste > maxGone && waste > len(o.frames)/2 {
			t.Fatalf("%d of %d frames are gone and kept", waste, len(o.frames))
		}
	}
	for !o.empty() {
		chunk := o.chunk(scratch)
		left.Write(chunk)
		counted += o.advance(len(chunk), &memory)
	}
	if !bytes.Equal(came.Bytes(), left.Bytes()) || counted != messages {
		t.Errorf("%d of %d bytes and %d of %d messages left", left.Len(), came.Len(), counted, messages)
	}
}

func TestOutboxDiscardKeepsAFrameWhole(t *testing.T) {
	for written := range 4 {
		t.Run(fmt.Sprintf("%d bytes written", written), func(t *testing.T) {
			var o outbox
			var memory outboxMemory
			for _, text := range []string{"abc", "def", "ghi"} {
				o.push(ownFrame([]byte(text)), &memory)
			}
			o.advance(written, &memory)
			o.discard()
			o.push(ownFrame([]byte("end")), &memory)
			want := []string{"end", "bcend", "cend", "end"}[written]
			if got := string(o.chunk(make([]byte, 0, 100))); got != want || o.size != len(want) {
				t.Errorf("left %q, size %d, want %q", got, o.size, want)
			}
		})
	}
}
