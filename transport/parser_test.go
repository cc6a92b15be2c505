package transport

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// TestParser: every rule, whether the bytes come at once or one at a time, and the oracle
// of the fuzz test says the same.
func TestParser(t *testing.T) {
	o := newOracle()
	for name, d := range dialogues() {
		t.Run(name, func(t *testing.T) {
			stream := []byte(d.stream)
			check := func(how string, got []arrival, code models.CloseCode) {
				t.Helper()
				if diff := cmp.Diff(d.want, got); diff != "" || code != d.code {
					t.Errorf("%s: code %d, want %d; (-want +got):\n%.500s", how, code, d.code, diff)
				}
			}
			got, code := parse(t, parserLimit, slices.Values([][]byte{stream}))
			check("at once", got, code)
			got, code = parse(t, parserLimit, slices.Chunk(stream, 1))
			check("byte by byte", got, code)
			got, code = o.decode(stream, parserLimit)
			check("the oracle", got, code)
		})
	}
}

// A parser takes no memory because a frame is said to be large.
func TestParserBelievesNoLength(t *testing.T) {
	p := parser{limit: 1 << 40}
	stream := claim(0x81, 1<<40) + "\x00\x00\x00\x00" + "hello"
	if in, n, code := p.next([]byte(stream)); in.opcode != opContinuation || n != len(stream) || code != 0 {
		t.Errorf("%v, %d bytes, %d", in, n, code)
	}
	if cap(p.message) > 64 {
		t.Errorf("%d bytes for 5", cap(p.message))
	}
}

// A message that is there as a whole stays where it is.
func TestParserCopiesNoWholeMessage(t *testing.T) {
	p := parser{limit: parserLimit}
	stream := []byte(fromClient(0x81, strings.Repeat("m", 10_000)))
	lent := make([]byte, len(stream))
	allocated := testing.AllocsPerRun(10, func() {
		copy(lent, stream)
		if in, _, _ := p.next(lent); len(in.payload) != 10_000 {
			t.Errorf("%d bytes", len(in.payload))
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// parse gives a parser pieces in memory that does not stay as it is. It stops at a close
// frame, as a Conn does.
func parse(t *testing.T, limit int, pieces func(func([]byte) bool)) (all []arrival, code models.CloseCode) {
	t.Helper()
	p := parser{limit: limit}
	for piece := range pieces {
		lent := bytes.Clone(piece)
		for rest := lent; ; {
			in, n, code := p.next(rest)
			checkMemory(t, &p)
			if code != 0 {
				return all, code
			}
			if in.opcode == opContinuation {
				if n != len(rest) {
					t.Fatalf("there is nothing in %d bytes, but only %d are taken", len(rest), n)
				}
				break
			}
			all = append(all, arrival{in.opcode, string(in.payload)})
			if in.opcode == opClose {
				return all, 0
			}
			scribble(in.payload)
			rest = rest[n:]
		}
		scribble(lent)
	}
	return all, 0
}

// checkMemory holds a parser to what it may keep: a small multiple of what has arrived of
// a message or a control frame that is not complete.
func checkMemory(t *testing.T, p *parser) {
	t.Helper()
	const least = 64
	if cap(p.message) > 2*len(p.message)+least || cap(p.control) > 2*maxControl+least {
		t.Fatalf("%d bytes for %d of a message, %d for a control frame", cap(p.message), len(p.message), cap(p.control))
	}
	if p.opcode == opContinuation && p.message != nil {
		t.Fatalf("%d bytes for no message", cap(p.message))
	}
}

func scribble(b []byte) {
	for i := range b {
		b[i] = 0xee
	}
}
