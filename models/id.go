package models

import (
	"strconv"
	"strings"
)

// ID is a message's place in the log, and a listener's cursor: the epoch names one
// unbroken life of the log, the sequence counts its messages from 1. The zero ID is
// before every message. As text it is "<epoch>-<sequence>", opaque to clients.
type ID struct {
	Epoch    string
	Sequence uint64
}

// ParseID reads the text form. Its error has CodeInvalidCursor.
func ParseID(text string) (ID, error) {
	epoch, digits, found := strings.Cut(text, "-")
	sequence, err := strconv.ParseUint(digits, 10, 64)
	if !found || err != nil || !isEpoch(epoch) || strconv.FormatUint(sequence, 10) != digits {
		return ID{}, Errorf(CodeInvalidCursor, "an id looks like the ones that the server gave, <epoch>-<sequence>")
	}
	return ID{Epoch: epoch, Sequence: sequence}, nil
}

// String gives the text form.
func (id ID) String() string {
	return string(id.append(nil))
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) {
	return id.append(nil), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

func (id ID) append(dst []byte) []byte {
	dst = append(dst, id.Epoch...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Sequence, 10)
}

// isEpoch holds epochs to characters that need no escape in JSON, a URL or a header.
func isEpoch(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return text != "" && len(text) <= 32
}
