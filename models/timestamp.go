package models

import (
	"time"
)

// timestampLayout is RFC 3339 with milliseconds, in UTC.
const timestampLayout = `2006-01-02T15:04:05.000Z`

// Timestamp is a moment as Fanfare writes it: RFC 3339, milliseconds, UTC.
type Timestamp struct{ time.Time }

// Now is the present moment.
func Now() Timestamp {
	return Timestamp{time.Now()}
}

// MarshalText implements encoding.TextMarshaler.
func (t Timestamp) MarshalText() ([]byte, error) {
	return t.append(nil), nil
}

// MarshalJSON implements json.Marshaler; without it the one of time.Time would be used.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return append(t.append([]byte{'"'}), '"'), nil
}

func (t Timestamp) append(dst []byte) []byte {
	return t.UTC().AppendFormat(dst, timestampLayout)
}
