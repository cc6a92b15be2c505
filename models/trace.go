package models

import "strings"

// What a Trace Context may be at most (W3C Trace Context, sections 3.2 and 3.3).
const (
	traceParentLength = 55 // of version 00
	maxTraceParent    = 255
	maxTraceState     = 512
	maxTraceMembers   = 32
)

// isTraceParent tells whether a text is a traceparent (W3C Trace Context, section 3.2): of version 00, or of
// a later one that begins as that does.
func isTraceParent(text string) bool {
	if len(text) < traceParentLength || len(text) > maxTraceParent {
		return false
	}
	version, trace, parent, flags := text[:2], text[3:35], text[36:52], text[53:55]
	for _, i := range [...]int{2, 35, 52} {
		if text[i] != '-' {
			return false
		}
	}
	switch rest := text[traceParentLength:]; {
	case !isHex(version) || version == "ff" || !isHex(trace) || !isHex(parent) || !isHex(flags):
		return false
	case strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "":
		return false
	case version == "00":
		return rest == ""
	default:
		return rest == "" || rest[0] == '-' && isPrintable(rest) && !strings.HasSuffix(rest, " ")
	}
}

func isHex(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isPrintable(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isTraceState tells whether a text is a tracestate (W3C Trace Context, section 3.3).
func isTraceState(text string) bool {
	if text == "" || len(text) > maxTraceState {
		return false
	}
	members := strings.Split(text, ",")
	seen := make(map[string]bool, len(members))
	for _, member := range members {
		if member = strings.Trim(member, " \t"); member == "" {
			continue // it may be, so that lists can be joined
		}
		key, value, _ := strings.Cut(member, "=")
		if !isTraceKey(key) || !isTraceValue(value) || seen[key] {
			return false
		}
		seen[key] = true
	}
	return len(seen) > 0 && len(seen) <= maxTraceMembers
}

// isTraceKey tells whether a text is the key of a vendor, with or without a tenant.
func isTraceKey(key string) bool {
	for i, c := range []byte(key) {
		isAlphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !isAlphanumeric && (i == 0 || !strings.ContainsRune("_-*/@", rune(c))) {
			return false
		}
	}
	return key != "" && len(key) <= 256 && strings.Count(key, "@") <= 1
}

func isTraceValue(value string) bool {
	return value != "" && len(value) <= 256 && isPrintable(value) && !strings.ContainsAny(value, ",=") && value[len(value)-1] != ' '
}
