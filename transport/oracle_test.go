package transport

import (
	"unicode/utf8"

	"fanfare/models"
)

// arrival is a message or a control frame of the peer.
type arrival struct {
	Opcode  byte
	Payload string
}

// oracle says what the parser has to find, as simply as possible: it has all bytes at
// once, and goes through them as RFC 6455 does, frame by frame and byte by byte.
type oracle struct {
	// beginnings has all that one or more bytes make a letter of UTF-8, but not by itself.
	beginnings map[string]bool
}

func newOracle() oracle {
	o := oracle{make(map[string]bool)}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		letter := string(r)
		for i := 1; i < len(letter); i++ {
			o.beginnings[letter[:i]] = true
		}
	}
	return o
}

// decode gives what arrives, up to a close frame, the end of the bytes, or a mistake. The
// code is 0 unless it was that.
func (o oracle) decode(stream []byte, limit int) (all []arrival, code models.CloseCode) {
	var open byte        // the opcode of the message that has begun
	var message []byte   // what there is of it
	var unsettled []byte // its last bytes, while they are only the beginning of a letter
	for len(stream) >= 2 {
		// Section 5.2: FIN, RSV, opcode, MASK and seven bits of length.
		final, reserved, opcode := stream[0]&0x80 != 0, stream[0]&0x70, stream[0]&0x0F
		masked, length := stream[1]&0x80 != 0, uint64(stream[1]&0x7F)
		stream = stream[2:]
		isControl := false
		switch opcode {
		case 0x0: // 5.4: goes on with a message that has begun
			if open == 0 {
				return all, 1002
			}
		case 0x1, 0x2: // 5.4: begins one, while there is none
			if open != 0 {
				return all, 1002
			}
		case 0x8, 0x9, 0xA: // 5.5: in one piece, and short
			isControl = true
			if !final || length > 125 {
				return all, 1002
			}
		default:
			return all, 1002
		}
		if reserved != 0 || !masked { // 5.2, 5.1
			return all, 1002
		}

		// Section 5.2: the rest of the length, and the mask.
		more := map[uint64]int{126: 2, 127: 8}[length]
		if len(stream) < more+4 {
			return all, 0
		}
		if more > 0 {
			length = 0
			for _, b := range stream[:more] {
				length = length<<8 + uint64(b)
			}
			if more == 2 && length < 126 || more == 8 && (length < 65536 || length>>63 != 0) {
				return all, 1002
			}
		}
		if !isControl && length > uint64(limit-len(message)) { //nolint:gosec // never negative
			return all, 1009
		}
		mask := stream[more : more+4]
		stream = stream[more+4:]

		// Section 5.3: the payload. Section 8.1: text is UTF-8.
		if !isControl && opcode != 0 {
			open = opcode
		}
		var control []byte
		for i := uint64(0); i < length; i++ {
			if len(stream) == 0 {
				return all, 0
			}
			b := stream[0] ^ mask[i%4]
			stream = stream[1:]
			if isControl {
				control = append(control, b)
				continue
			}
			message = append(message, b)
			if open != 0x1 {
				continue
			}
			unsettled = append(unsettled, b)
			if utf8.Valid(unsettled) {
				unsettled = nil
			} else if !o.beginnings[string(unsettled)] {
				return all, 1007
			}
		}
		switch {
		case isControl:
			if opcode == 0x8 {
				if code := o.closeCode(control); code != 0 {
					return all, code
				}
			}
			all = append(all, arrival{opcode, string(control)})
			if opcode == 0x8 {
				return all, 0
			}
		case final:
			if len(unsettled) > 0 {
				return all, 1007
			}
			all = append(all, arrival{open, string(message)})
			open, message = 0, nil
		}
	}
	return all, 0
}

// closeCode says what is wrong with a close frame's payload (sections 5.5.1, 7.4, 8.1).
func (oracle) closeCode(payload []byte) models.CloseCode {
	if len(payload) == 0 {
		return 0
	}
	if len(payload) == 1 {
		return 1002
	}
	switch code := int(payload[0])*256 + int(payload[1]); code {
	case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011: // section 7.4.1
	case 1012, 1013, 1014: // registered since (section 11.7)
	default: // section 7.4.2
		if code < 3000 || code > 4999 {
			return 1002
		}
	}
	if !utf8.Valid(payload[2:]) {
		return 1007
	}
	return 0
}
