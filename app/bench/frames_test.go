package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gobwas/ws"
)

// stream is frames with payloads of the given lengths, and what is in them.
func stream(lengths ...int) (stream []byte, want string) {
	for _, length := range lengths {
		payload := strings.Repeat(string(rune('a'+length%26)), length)
		stream = append(appendHeader(stream, ws.OpText, 0, length), payload...)
		want += fmt.Sprintln(ws.OpText, payload)
	}
	return stream, want
}

func readAll(reader io.Reader, early []byte) (got string, err error) {
	f := newFrames(reader, early)
	for {
		frame, err := f.next()
		if err != nil {
			return got, err
		}
		got += fmt.Sprintln(frame.op, string(frame.payload))
	}
}

// However a stream falls into pieces, the frames are the same.
func TestFramesInPieces(t *testing.T) {
	check := func(name string, reader io.Reader, early []byte, want string) {
		t.Helper()
		if got, err := readAll(reader, early); !errors.Is(err, io.EOF) || got != want {
			t.Errorf("%s: got %.300q and %v, want %.300q", name, got, err, want)
		}
	}
	large, want := stream(1, maxBuffer-1, maxBuffer, maxBuffer+1, 2*maxBuffer, 3)
	check("whole", bytes.NewReader(large), nil, want)
	check("with the end of the stream", iotest.DataErrReader(bytes.NewReader(large)), nil, want)
	check("by halves", iotest.HalfReader(bytes.NewReader(large)), nil, want)

	small, want := stream(0, 1, 125, 126, 127, firstBuffer-5, firstBuffer-4, firstBuffer)
	// The longest header, which nothing forbids for a short frame, and an empty ping.
	small = append(small, 0x81, 127, 0, 0, 0, 0, 0, 0, 0, 2, 'z', 'z')
	small = append(small, ws.CompiledPing...)
	want += fmt.Sprintln(ws.OpText, "zz") + fmt.Sprintln(ws.OpPing, "")
	check("byte by byte", iotest.OneByteReader(bytes.NewReader(small)), nil, want)
	for at := range len(small) {
		name := fmt.Sprintf("split at %d", at)
		check(name, io.MultiReader(bytes.NewReader(small[:at]), bytes.NewReader(small[at:])), nil, want)
		check(name+", the first part read before", bytes.NewReader(small[at:]), small[:at], want)
	}
}

func TestBrokenFrames(t *testing.T) {
	tests := map[string]struct {
		stream []byte
		want   error
	}{
		"masked":                     {appendRequest(nil, ws.OpText, []byte("a")), errFrame},
		"in pieces":                  {[]byte{0x01, 1, 'a'}, errFrame},
		"with a reserved bit":        {[]byte{0xc1, 1, 'a'}, errFrame},
		"larger than anything":       {[]byte{0x81, 127, 0, 0, 0, 0, 0xff, 0, 0, 0}, errFrame},
		"longer than there is":       {[]byte{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, errFrame},
		"ends in its header":         {[]byte{0x81}, io.EOF},
		"ends in its length":         {[]byte{0x81, 126, 1}, io.EOF},
		"ends in its payload":        {[]byte{0x81, 2, 'a'}, io.EOF},
		"ends in its longest length": {[]byte{0x81, 127, 0, 0, 0}, io.EOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := readAll(bytes.NewReader(tt.stream), nil); !errors.Is(err, tt.want) || got != "" {
				t.Errorf("got %q and %v, want %v", got, err, tt.want)
			}
		})
	}
}

// What the load sends is what another implementation reads.
func TestRequests(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 65_535, 65_536} {
		payload := bytes.Repeat([]byte("a"), length)
		stream := bytes.NewReader(appendRequest(nil, ws.OpText, payload[:length/2], payload[length/2:]))
		header, err := ws.ReadHeader(stream)
		if err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		got, err := io.ReadAll(stream)
		if err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		ws.Cipher(got, header.Mask, 0)
		want := ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: int64(length)}
		if header != want || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: %+v, want %+v", length, header, want)
		}
	}
}
