package transport

import (
	"encoding/binary"

	"fanfare/models"
)

// Opcodes of a WebSocket frame (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const (
	finalBit = 0x80
	// maxHeader is the longest header of an unmasked frame, in bytes.
	maxHeader = 10
	// frameRoom is what a message's frame needs besides its data, most of the time.
	frameRoom = 256
)

// webSocketFormat makes unmasked, unfragmented frames: text for JSON, control frames
// for the rest.
type webSocketFormat struct {
	// cloudEvents is as that of SSE.
	cloudEvents bool
}

// Message implements models.Format.
func (f webSocketFormat) Message(m *models.Message) []byte {
	return seal(opText, appendMessage(make([]byte, maxHeader, m.Size()+frameRoom), m, f.cloudEvents))
}

// Event implements models.Format.
func (webSocketFormat) Event(frame models.ServerFrame) []byte {
	return seal(opText, models.AppendServerFrame(make([]byte, maxHeader, frameRoom), frame))
}

// Heartbeat implements models.Format: a ping, and in front of it a position.
func (f webSocketFormat) Heartbeat(position models.ID) []byte {
	ping := seal(opPing, make([]byte, maxHeader))
	if position == (models.ID{}) {
		return ping
	}
	return append(f.Event(models.NewPosition(position)), ping...)
}

// Close implements models.Format.
func (webSocketFormat) Close(code models.CloseCode) []byte {
	buf := binary.BigEndian.AppendUint16(make([]byte, maxHeader, frameRoom), uint16(code))
	return seal(opClose, append(buf, code.String()...))
}

// pong answers a ping (RFC 6455, section 5.5.3).
func pong(payload []byte) []byte {
	return seal(opPong, append(make([]byte, maxHeader, maxHeader+len(payload)), payload...))
}

// appendMessage appends a message as its frame, or as a CloudEvent.
func appendMessage(dst []byte, m *models.Message, cloudEvent bool) []byte {
	if cloudEvent {
		return m.AppendCloudEvent(dst)
	}
	return m.AppendFrame(dst)
}

// seal writes the header of a frame right in front of its payload, which begins at
// maxHeader (RFC 6455, section 5.2), and gives the frame.
func seal(opcode byte, buf []byte) []byte {
	size := len(buf) - maxHeader
	var start int
	switch {
	case size < 126:
		start = maxHeader - 2
		buf[start+1] = byte(size) //nolint:gosec // less than 126
	case size <= 0xFFFF:
		start = maxHeader - 4
		buf[start+1] = 126
		binary.BigEndian.PutUint16(buf[start+2:], uint16(size))
	default:
		start = 0
		buf[start+1] = 127
		binary.BigEndian.PutUint64(buf[start+2:], uint64(size))
	}
	buf[start] = finalBit | opcode
	return buf[start:]
}
