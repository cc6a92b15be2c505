package bench

import "bytes"

// stamp is what the load knows its messages by. It has always the same length:
//
//	{"bench":"0003-0000000042-1795447506699000000-xxxxxxxx"}
type stamp struct {
	publisher int   // below maxPublishers
	number    int64 // counts a publisher's messages to one topic, from 0
	sent      int64 // Unix time in nanoseconds
}

const (
	stampStart    = `{"bench":"`
	stampEnd      = `"}`
	maxPublishers = 10_000

	// The widths of the three numbers, with a dash between them, and all that cannot be
	// left out.
	publisherWidth, numberWidth, sentWidth = 4, 10, 19

	stampLength = len(stampStart) + publisherWidth + 1 + numberWidth + 1 + sentWidth + 1 + len(stampEnd)
)

// appendStamp appends a message's data of size bytes, or of stampLength if that is more.
func appendStamp(dst []byte, s stamp, size int) []byte {
	dst = append(dst, stampStart...)
	dst = append(appendNumber(dst, int64(s.publisher), publisherWidth), '-')
	dst = append(appendNumber(dst, s.number, numberWidth), '-')
	dst = append(appendNumber(dst, s.sent, sentWidth), '-')
	for range size - stampLength {
		dst = append(dst, 'x')
	}
	return append(dst, stampEnd...)
}

func appendNumber(dst []byte, value int64, width int) []byte {
	end := len(dst) + width
	for range width {
		dst = append(dst, '0')
	}
	for i := end - 1; value > 0 && i >= end-width; i-- {
		dst[i] = byte('0' + value%10)
		value /= 10
	}
	return dst
}

// findStamp finds the stamp in a message's frame. It leaves out when it was sent: half of
// the work, and not always wanted.
func findStamp(payload []byte) (s stamp, sent []byte, ok bool) {
	start := bytes.Index(payload, []byte(stampStart))
	if start < 0 || len(payload)-start < stampLength {
		return stamp{}, nil, false
	}
	b := payload[start+len(stampStart):]
	publisher, ok1 := parseNumber(b[:publisherWidth])
	b = b[publisherWidth+1:]
	number, ok2 := parseNumber(b[:numberWidth])
	b = b[numberWidth+1:]
	return stamp{publisher: int(publisher), number: number}, b[:sentWidth], ok1 && ok2
}

func parseNumber(b []byte) (value int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = 10*value + int64(c-'0')
	}
	return value, true
}
