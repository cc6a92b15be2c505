package transport

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"fanfare/models"
)

// maxControl is the longest payload of a control frame, in bytes (RFC 6455, section 5.5).
const maxControl = 125

// Bits of a frame's first two bytes (RFC 6455, section 5.2).
const (
	reservedBits = 0x70
	opcodeBits   = 0x0F
	controlBit   = 0x08
	maskBit      = 0x80
	lengthBits   = 0x7F
)

// incoming is a whole message or control frame of the peer. An opcode of opContinuation
// is none.
type incoming struct {
	opcode  byte
	payload []byte
}

// parser takes apart what a client sends (RFC 6455, sections 5.2 to 5.5 and 8.1). It keeps
// no more memory than has arrived of a message or control frame that is not complete.
type parser struct {
	// limit bounds a message, in bytes.
	limit int

	// The frame that is arriving. Its header is complete if headerSize is headerNeed.
	header     [14]byte
	headerSize uint8
	headerNeed uint8
	mask       [4]byte
	// left is what is still to come of the payload, taken what has come.
	left, taken int

	// The message that is arriving: opText, opBinary, or opContinuation for none.
	opcode  byte
	message []byte
	// valid is how much of a text is known to be UTF-8.
	valid int

	// control is what has arrived of a control frame that came in pieces.
	control []byte
}

// next takes the next message or control frame out of b and tells how many bytes it
// took. If there is none, it took all of b and needs more. The payload is lent until the
// next call; it may lie in b, whose bytes are changed. A code other than 0 is why the
// connection has to be closed; the parser is of no use after it.
func (p *parser) next(b []byte) (in incoming, n int, code models.CloseCode) {
	for n < len(b) || p.frameEnds() {
		if !p.inPayload() {
			took, code := p.takeHeader(b[n:])
			n += took
			if code != 0 {
				return incoming{}, n, code
			}
			continue
		}
		chunk := b[n:min(n+p.left, len(b))]
		n += len(chunk)
		ws.Cipher(chunk, p.mask, p.taken)
		p.left, p.taken = p.left-len(chunk), p.taken+len(chunk)
		in, code = p.takePayload(chunk)
		if p.left == 0 {
			p.headerSize, p.headerNeed, p.taken = 0, 0, 0
		}
		if code != 0 || in.opcode != opContinuation {
			return in, n, code
		}
	}
	return incoming{}, n, 0
}

// inPayload tells whether the header of the frame is complete.
func (p *parser) inPayload() bool { return p.headerNeed > 0 && p.headerSize == p.headerNeed }

// frameEnds tells whether the frame is complete without another byte: its payload is
// empty.
func (p *parser) frameEnds() bool { return p.inPayload() && p.left == 0 }

// frameOpcode is the opcode of the frame that is arriving.
func (p *parser) frameOpcode() byte { return p.header[0] & opcodeBits }

// frameIsFinal tells whether the frame that is arriving ends its message.
func (p *parser) frameIsFinal() bool { return p.header[0]&finalBit != 0 }

// takeHeader takes what it needs of b for the header. What is wrong is found as early as
// it can be.
func (p *parser) takeHeader(b []byte) (n int, code models.CloseCode) {
	if p.headerSize < 2 {
		n = copy(p.header[p.headerSize:2], b)
		p.headerSize += uint8(n) //nolint:gosec // at most 2
		if p.headerSize < 2 {
			return n, 0
		}
		if !p.headerIsRight() {
			return n, models.CloseProtocolError
		}
		p.headerNeed = 2 + uint8(lengthSize(p.header[1]&lengthBits)) + uint8(len(p.mask)) //nolint:gosec // at most 14
	}
	took := copy(p.header[p.headerSize:p.headerNeed], b[n:])
	p.headerSize += uint8(took) //nolint:gosec // at most 14
	n += took
	if p.headerSize < p.headerNeed {
		return n, 0
	}
	return n, p.beginPayload()
}

// headerIsRight checks the first two bytes.
func (p *parser) headerIsRight() bool {
	opcode := p.frameOpcode()
	if p.header[0]&reservedBits != 0 || p.header[1]&maskBit == 0 {
		return false
	}
	switch opcode {
	case opContinuation:
		return p.opcode != opContinuation
	case opText, opBinary:
		return p.opcode == opContinuation
	case opClose, opPing, opPong:
		return p.frameIsFinal() && p.header[1]&lengthBits <= maxControl
	default:
		return false
	}
}

// lengthSize is how many bytes of length follow the seven bits.
func lengthSize(bits byte) int {
	switch bits {
	case 126:
		return 2
	case 127:
		return 8
	default:
		return 0
	}
}

// beginPayload reads length and mask from the header. The length has to be in as few
// bytes as it fits in.
func (p *parser) beginPayload() models.CloseCode {
	bits := p.header[1] & lengthBits
	length, least := uint64(bits), uint64(0)
	switch lengthSize(bits) {
	case 2:
		length, least = uint64(binary.BigEndian.Uint16(p.header[2:])), 126
	case 8:
		length, least = binary.BigEndian.Uint64(p.header[2:]), 1<<16
	}
	if length < least || length > 1<<63-1 {
		return models.CloseProtocolError
	}
	opcode := p.frameOpcode()
	isControl := opcode&controlBit != 0
	if !isControl && length > uint64(p.limit-len(p.message)) { //nolint:gosec // never negative
		return models.CloseTooBig
	}
	copy(p.mask[:], p.header[p.headerNeed-uint8(len(p.mask)):p.headerNeed])
	p.left = int(length)
	if opcode == opText || opcode == opBinary {
		p.opcode = opcode
	}
	return 0
}

// takePayload takes the next bytes of a payload, unmasked.
func (p *parser) takePayload(chunk []byte) (incoming, models.CloseCode) {
	if p.frameOpcode()&controlBit != 0 {
		return p.takeControl(chunk)
	}
	whole := p.left == 0 && p.frameIsFinal()
	if whole && len(p.message) == 0 {
		// The usual case: a message in one piece stays where it is.
		in := incoming{p.opcode, chunk}
		p.opcode = opContinuation
		if in.opcode == opText && !utf8.Valid(chunk) {
			return incoming{}, models.CloseInvalidUTF8
		}
		return in, 0
	}
	p.message = append(p.message, chunk...)
	if p.opcode == opText && !p.checkText(whole) {
		return incoming{}, models.CloseInvalidUTF8
	}
	if !whole {
		return incoming{}, 0
	}
	in := incoming{p.opcode, p.message}
	p.opcode, p.message, p.valid = opContinuation, nil, 0
	return in, 0
}

// checkText checks what has been added to a text. Unless it is whole, its last rune may
// be cut.
func (p *parser) checkText(whole bool) bool {
	end := len(p.message)
	if !whole {
		end -= cutRune(p.message[p.valid:])
	}
	if !utf8.Valid(p.message[p.valid:end]) {
		return false
	}
	p.valid = end
	return true
}

// cutRune is the length of the beginning of a rune at the end of text.
func cutRune(text []byte) int {
	for size := 1; size < utf8.UTFMax && size <= len(text); size++ {
		last := text[len(text)-size:]
		if utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return size
		}
	}
	return 0
}

func (p *parser) takeControl(chunk []byte) (incoming, models.CloseCode) {
	payload := chunk
	if p.left > 0 || p.control != nil {
		p.control = append(p.control, chunk...)
		if p.left > 0 {
			return incoming{}, 0
		}
		payload, p.control = p.control, nil
	}
	opcode := p.frameOpcode()
	if opcode == opClose {
		if code := checkClose(payload); code != 0 {
			return incoming{}, code
		}
	}
	return incoming{opcode, payload}, 0
}

// checkClose checks the payload of a close frame: a code that may be sent, and a reason
// (RFC 6455, sections 5.5.1 and 7.4), or nothing at all.
func checkClose(payload []byte) models.CloseCode {
	if len(payload) == 0 {
		return 0
	}
	if len(payload) < 2 || !maySend(binary.BigEndian.Uint16(payload)) {
		return models.CloseProtocolError
	}
	if !utf8.Valid(payload[2:]) {
		return models.CloseInvalidUTF8
	}
	return 0
}

// maySend tells whether a peer may send the code: those of the RFC and of IANA's registry
// that are not only for local use, those of libraries, and private ones.
func maySend(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return true
	default:
		return false
	}
}
