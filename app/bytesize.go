package app

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
)

// ByteSize is a number of bytes, written in a configuration as text: "4MiB", "64KiB", "1500000".
// KiB, MiB and GiB are powers of 1024; KB, MB and GB are powers of 1000.
type ByteSize int64

// The units that Fanfare's own sizes are written in.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

// UnmarshalText reads a size such as "4MiB".
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil {
		return fmt.Errorf("size %q: %w", text, err)
	}
	if n > math.MaxInt64 {
		return fmt.Errorf("size %q: too large", text)
	}
	*b = ByteSize(n)
	return nil
}

// MarshalText writes the size as String does.
func (b ByteSize) MarshalText() ([]byte, error) {
	return []byte(b.String()), nil
}

// String writes the size exactly, in the largest unit that divides it.
func (b ByteSize) String() string {
	switch {
	case b == 0:
		return "0B"
	case b%GiB == 0:
		return fmt.Sprintf("%dGiB", b/GiB)
	case b%MiB == 0:
		return fmt.Sprintf("%dMiB", b/MiB)
	case b%KiB == 0:
		return fmt.Sprintf("%dKiB", b/KiB)
	default:
		return fmt.Sprintf("%dB", int64(b))
	}
}
