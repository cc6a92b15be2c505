package natsengine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// macSize is how much of a hash is sent, in bytes.
const macSize = 16

// signer makes and checks keyed hashes (RFC 2104, with SHA-256). Its methods may be called concurrently.
type signer struct{ key []byte }

// mac hashes fields, each for what it is: they cannot be moved from one into the next. Usage tells hashes
// of one kind from those of others.
func (s signer) mac(usage string, fields ...[]byte) string {
	h := hmac.New(sha256.New, s.key)
	var size [8]byte
	write := func(field []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(field)))
		h.Write(size[:])
		h.Write(field)
	}
	write([]byte(usage))
	for _, field := range fields {
		write(field)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:macSize])
}

// stamp says when something was sent, and that it was one of us: "<ms since 1970>.<mac>".
func (s signer) stamp(usage string, at time.Time, fields ...[]byte) string {
	ms := strconv.FormatInt(at.UnixMilli(), 10)
	return ms + "." + s.mac(usage, append(fields, []byte(ms))...)
}

// check gives the time of a stamp, if it is one of ours.
func (s signer) check(usage, stamp string, fields ...[]byte) (at time.Time, ok bool) {
	text, mac, _ := strings.Cut(stamp, ".")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	want := s.mac(usage, append(fields, []byte(text))...)
	return time.UnixMilli(ms).UTC(), hmac.Equal([]byte(mac), []byte(want))
}
