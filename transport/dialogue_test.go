package transport

import (
	"encoding/binary"
	"fmt"
	"strings"

	"fanfare/models"
)

// fromClient gives a frame as a client sends it: masked, its length in as few bytes as it
// fits in. The first byte is FIN, the reserved bits and the opcode.
func fromClient(first byte, payload string) string {
	const mask = "\x37\xfa\x21\x3d"
	body := []byte(payload)
	for i := range body {
		body[i] ^= mask[i%4]
	}
	return claim(first, uint64(len(payload))) + mask + string(body)
}

// fromServer gives a frame as the server sends it.
func fromServer(first byte, payload string) string {
	frame := []byte(claim(first, uint64(len(payload))) + payload)
	frame[1] &^= 0x80
	return string(frame)
}

// claim gives the beginning of a client's frame, up to the mask.
func claim(first byte, length uint64) string {
	header := []byte{first}
	switch {
	case length <= 125:
		header = append(header, 0x80|byte(length))
	case length <= 65535:
		header = binary.BigEndian.AppendUint16(append(header, 0x80|126), uint16(length))
	default:
		header = binary.BigEndian.AppendUint64(append(header, 0x80|127), length)
	}
	return string(header)
}

// closing gives the payload of a close frame.
func closing(code models.CloseCode, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// dialogue is what a client sends, and what it has to come to.
type dialogue struct {
	stream string
	want   []arrival
	code   models.CloseCode
}

// parserLimit is the limit of a message for the dialogues, in bytes.
const parserLimit = 70_000

// dialogues has every rule of RFC 6455 for what a client sends, kept and broken.
func dialogues() map[string]dialogue {
	const mask = "\x00\x00\x00\x00"
	some, more, end := "\x01", "\x00", "\x80" // first bytes of the fragments of a text
	part := func(first, payload string) string { return fromClient(first[0], payload) }
	text := func(payloads ...string) (all []arrival) {
		for _, payload := range payloads {
			all = append(all, arrival{opText, payload})
		}
		return all
	}
	ping := func(payload string) arrival { return arrival{opPing, payload} }
	bye := func(payload string) []arrival { return []arrival{{opClose, payload}} }
	all := map[string]dialogue{
		"nothing":                       {"", nil, 0},
		"the example of section 5.7":    {"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", text("Hello"), 0},
		"several messages":              {fromClient(0x81, "a") + fromClient(0x82, "\xff") + fromClient(0x81, "b"), []arrival{{opText, "a"}, {opBinary, "\xff"}, {opText, "b"}}, 0},
		"a frame that is not complete":  {fromClient(0x81, "a") + fromClient(0x81, "hello")[:8], text("a"), 0},
		"a header that is not complete": {fromClient(0x81, "a") + "\x81\xfe\x00", text("a"), 0},

		"reserved bit 1":                     {fromClient(0xC1, ""), nil, 1002},
		"reserved bit 2":                     {fromClient(0xA1, ""), nil, 1002},
		"reserved bit 3":                     {fromClient(0x91, ""), nil, 1002},
		"reserved bit of a continuation":     {part(some, "a") + fromClient(0xC0, ""), nil, 1002},
		"reserved bit of a ping":             {fromClient(0xC9, ""), nil, 1002},
		"no mask":                            {"\x81\x01a", nil, 1002},
		"no mask, and the rest never comes":  {"\x81\x01", nil, 1002},
		"ping without a mask":                {"\x89\x00", nil, 1002},
		"mistake behind a message":           {fromClient(0x81, "a") + "\x81\x00", text("a"), 1002},
		"16 bits of length for 125 bytes":    {"\x82\xfe\x00\x7d" + mask, nil, 1002},
		"16 bits of length for nothing":      {"\x82\xfe\x00\x00" + mask, nil, 1002},
		"64 bits of length for 65,535 bytes": {"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff" + mask, nil, 1002},
		"length of 2^63":                     {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" + mask, nil, 1002},
		"length of 2^64-1":                   {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + mask, nil, 1002},

		"two fragments":                      {part(some, "a") + part(end, "b"), text("ab"), 0},
		"three fragments":                    {part(some, "a") + part(more, "b") + part(end, "c"), text("abc"), 0},
		"empty fragments":                    {part(some, "") + part(more, "") + part(end, ""), text(""), 0},
		"empty first fragment":               {part(some, "") + part(end, "ab"), text("ab"), 0},
		"empty last fragment":                {part(some, "ab") + part(end, ""), text("ab"), 0},
		"fragments of binary":                {fromClient(0x02, "\xff") + part(end, "\xfe"), []arrival{{opBinary, "\xff\xfe"}}, 0},
		"fragments, then another":            {part(some, "a") + part(end, "b") + fromClient(0x81, "c"), text("ab", "c"), 0},
		"fragments, then other fragments":    {part(some, "aü€") + part(end, "𝄞") + part(some, "ü") + part(end, "\xff"), text("aü€𝄞"), 1007},
		"ping between fragments":             {part(some, "a") + fromClient(0x89, "p") + part(end, "b"), append([]arrival{ping("p")}, text("ab")...), 0},
		"pong between fragments":             {part(some, "a") + fromClient(0x8A, "") + part(end, "b"), append([]arrival{{opPong, ""}}, text("ab")...), 0},
		"close between fragments":            {part(some, "a") + fromClient(0x88, "") + part(end, "b"), bye(""), 0},
		"continuation of nothing":            {part(end, "a"), nil, 1002},
		"unfinished continuation of nothing": {part(more, "a"), nil, 1002},
		"continuation of what has ended":     {fromClient(0x81, "a") + part(end, "b"), text("a"), 1002},
		"text in a text":                     {part(some, "a") + fromClient(0x81, "b"), nil, 1002},
		"text begins in a text":              {part(some, "a") + part(some, "b"), nil, 1002},
		"binary in a text":                   {part(some, "a") + fromClient(0x82, "b"), nil, 1002},
		"text in binary":                     {fromClient(0x02, "a") + fromClient(0x81, "b"), nil, 1002},
		"text behind an empty fragment":      {part(some, "") + fromClient(0x81, "b"), nil, 1002},

		"empty ping":             {fromClient(0x89, ""), []arrival{ping("")}, 0},
		"longest ping":           {fromClient(0x89, strings.Repeat("p", 125)), []arrival{ping(strings.Repeat("p", 125))}, 0},
		"ping of bytes":          {fromClient(0x89, "\x00\xff"), []arrival{ping("\x00\xff")}, 0},
		"ping of 126 bytes":      {fromClient(0x89, strings.Repeat("p", 126)), nil, 1002},
		"ping of 65,536 bytes":   {claim(0x89, 65536) + mask, nil, 1002},
		"ping in fragments":      {fromClient(0x09, ""), nil, 1002},
		"pong in fragments":      {fromClient(0x0A, ""), nil, 1002},
		"pong of 126 bytes":      {fromClient(0x8A, strings.Repeat("p", 126)), nil, 1002},
		"pings of several bytes": {fromClient(0x89, "one") + fromClient(0x89, "other"), []arrival{ping("one"), ping("other")}, 0},
		"pings and a pong":       {fromClient(0x89, "1") + fromClient(0x8A, "2") + fromClient(0x89, "3"), []arrival{ping("1"), {opPong, "2"}, ping("3")}, 0},
		"close without a code":   {fromClient(0x88, ""), bye(""), 0},
		"close with a reason":    {fromClient(0x88, closing(1000, "ü")), bye(closing(1000, "ü")), 0},
		"longest close":          {fromClient(0x88, closing(1000, strings.Repeat("r", 123))), bye(closing(1000, strings.Repeat("r", 123))), 0},
		"close of 1 byte":        {fromClient(0x88, "\x03"), nil, 1002},
		"close of 126 bytes":     {fromClient(0x88, closing(1000, strings.Repeat("r", 124))), nil, 1002},
		"close in fragments":     {fromClient(0x08, ""), nil, 1002},
		"reason that is no text": {fromClient(0x88, closing(1000, "\xff")), nil, 1007},
		"reason that is cut":     {fromClient(0x88, closing(1000, "\xc3")), nil, 1007},
		"reason of a bad code":   {fromClient(0x88, closing(1005, "\xff")), nil, 1002},
		"mistake behind a close": {fromClient(0x88, "") + "\xff\xff", bye(""), 0},

		"largest message":             {fromClient(0x82, strings.Repeat("m", parserLimit)), []arrival{{opBinary, strings.Repeat("m", parserLimit)}}, 0},
		"message over the limit":      {claim(0x82, parserLimit+1) + mask, nil, 1009},
		"message of 2^63-1 bytes":     {claim(0x81, 1<<63-1) + mask, nil, 1009},
		"fragments up to the limit":   {fromClient(0x02, strings.Repeat("m", parserLimit)) + part(end, ""), []arrival{{opBinary, strings.Repeat("m", parserLimit)}}, 0},
		"fragments over the limit":    {fromClient(0x02, strings.Repeat("m", parserLimit)) + claim(0x80, 1) + mask, nil, 1009},
		"ping at the limit":           {fromClient(0x02, strings.Repeat("m", parserLimit)) + fromClient(0x89, "p"), []arrival{ping("p")}, 0},
		"the limit is of one message": {fromClient(0x82, strings.Repeat("m", parserLimit)) + fromClient(0x82, "m"), []arrival{{opBinary, strings.Repeat("m", parserLimit)}, {opBinary, "m"}}, 0},
	}
	for _, opcode := range []byte{0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		all[fmt.Sprintf("reserved opcode %X", opcode)] = dialogue{fromClient(0x80|opcode, ""), nil, 1002}
	}
	for _, size := range []int{0, 1, 15, 16, 17, 125, 126, 127, 128, 65535, 65536, 65537} {
		payload := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		all[fmt.Sprintf("text of %d bytes", size)] = dialogue{fromClient(0x81, payload), text(payload), 0}
	}
	for _, code := range []models.CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		all[fmt.Sprintf("close code %d", code)] = dialogue{fromClient(0x88, closing(code, "")), bye(closing(code, "")), 0}
	}
	for _, code := range []models.CloseCode{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		all[fmt.Sprintf("close code %d, which may not be sent", code)] = dialogue{fromClient(0x88, closing(code, "")), nil, 1002}
	}
	for name, right := range rightTexts() {
		all[name] = dialogue{fromClient(0x81, right), text(right), 0}
		all[name+", in fragments of a byte"] = dialogue{bytewise(right), text(right), 0}
	}
	for name, wrong := range wrongTexts() {
		all[name] = dialogue{fromClient(0x81, wrong), nil, 1007}
		all[name+", in fragments of a byte"] = dialogue{bytewise(wrong), nil, 1007}
		all[name+", and the rest never comes"] = dialogue{claim(0x81, 1000) + mask + "a" + wrong, nil, 1007}
		all[name+", in a fragment of which there are more"] = dialogue{part(some, "ü"+wrong), nil, 1007}
		all[name+", in binary"] = dialogue{fromClient(0x82, wrong), []arrival{{opBinary, wrong}}, 0}
	}
	for name, cut := range cutTexts() {
		all[name] = dialogue{fromClient(0x81, cut), nil, 1007}
		all[name+", in fragments"] = dialogue{part(some, cut) + part(end, ""), nil, 1007}
		all[name+", and the rest may come"] = dialogue{part(some, cut), nil, 0}
		all[name+", and something else comes"] = dialogue{part(some, cut) + part(more, "a"), nil, 1007}
	}
	return all
}

// bytewise gives a text in fragments of a byte, and an empty one at last.
func bytewise(text string) string {
	first, stream := byte(0x01), ""
	for i := range len(text) {
		stream += fromClient(first, text[i:i+1])
		first = 0x00
	}
	return stream + fromClient(0x80|first, "")
}

// rightTexts are the edges of UTF-8, from within.
func rightTexts() map[string]string {
	return map[string]string{
		"letters of 1 to 4 bytes":    "aü€𝄞",
		"NUL":                        "\x00",
		"first of 2 bytes":           "\xc2\x80",
		"last of 2 bytes":            "\xdf\xbf",
		"first of 3 bytes":           "\xe0\xa0\x80",
		"last before the surrogates": "\xed\x9f\xbf",
		"first after the surrogates": "\xee\x80\x80",
		"last of 3 bytes":            "\xef\xbf\xbf",
		"first of 4 bytes":           "\xf0\x90\x80\x80",
		"last of all":                "\xf4\x8f\xbf\xbf",
		"replacement character":      "\xef\xbf\xbd",
	}
}

// wrongTexts end with a byte that makes them wrong, whatever follows.
func wrongTexts() map[string]string {
	return map[string]string{
		"continuation byte alone":       "\x80",
		"too many continuation bytes":   "ü\x80",
		"letter of 2 bytes, broken off": "\xc3a",
		"letter of 3 bytes, broken off": "\xe2\x82a",
		"letter of 4 bytes, broken off": "\xf0\x9d\x84a",
		"letter in a letter":            "\xe2\xc3",
		"1 byte as 2":                   "\xc1",
		"NUL as 2 bytes":                "\xc0",
		"2 bytes as 3":                  "\xe0\x9f",
		"3 bytes as 4":                  "\xf0\x8f",
		"first surrogate":               "\xed\xa0",
		"last surrogate":                "\xed\xbf",
		"first beyond the end":          "\xf4\x90",
		"far beyond the end":            "\xf5",
		"letter of 5 bytes":             "\xf8",
		"letter of 6 bytes":             "\xfc",
		"byte FE":                       "\xfe",
		"byte FF":                       "\xff",
		"wrong behind what is right":    "hello ü€𝄞\xff",
	}
}

// cutTexts are wrong unless more comes.
func cutTexts() map[string]string {
	return map[string]string{
		"1 of 2 bytes":                      "a\xc3",
		"1 of 3 bytes":                      "a\xe2",
		"2 of 3 bytes":                      "a\xe2\x82",
		"1 of 4 bytes":                      "a\xf0",
		"2 of 4 bytes":                      "a\xf0\x9d",
		"3 of 4 bytes":                      "a\xf0\x9d\x84",
		"beginning without a letter before": "\xf4\x8f\xbf",
	}
}
