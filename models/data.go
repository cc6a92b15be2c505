package models

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ParseData makes data of bytes that nobody has declared as anything: JSON if they are a valid JSON text,
// else a string if they are UTF-8, else base64. It may keep and change them.
func ParseData(b []byte) (data jsontext.Value, encoding string) {
	if data, err := CompactJSON(b); err == nil {
		return data, ""
	}
	if utf8.Valid(b) {
		return TextData(b), ""
	}
	return BinaryData(b), EncodingBase64
}

// CompactJSON takes the white space out of a JSON text, in place. The text must be one value of
// I-JSON (RFC 7493): valid UTF-8, no name twice in one object.
func CompactJSON(text []byte) (jsontext.Value, error) {
	value := jsontext.Value(text)
	if err := value.Compact(jsontext.AllowInvalidUTF8(false), jsontext.AllowDuplicateNames(false)); err != nil {
		return nil, err
	}
	return fit(value), nil
}

// TextData makes a JSON string of UTF-8.
func TextData(text []byte) jsontext.Value {
	data, _ := jsontext.AppendQuote(nil, text) // fails on invalid UTF-8 only
	return fit(data)
}

// BinaryData makes a JSON string of base64 of bytes, whose encoding is EncodingBase64.
func BinaryData(b []byte) jsontext.Value {
	data := make(jsontext.Value, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	data = base64.StdEncoding.AppendEncode(append(data, '"'), b)
	return append(data, '"')
}

// fit gives data that is kept without the memory that only its making needed: a text can be all
// white space but for one digit.
func fit(data jsontext.Value) jsontext.Value {
	if cap(data)-len(data) > len(data)/4 {
		return bytes.Clone(data)
	}
	return data
}

// IsJSONType tells whether a media type, in lower case and without parameters, is JSON.
func IsJSONType(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// IsBinaryType tells whether a media type, in lower case and without parameters, is one of what is no text.
func IsBinaryType(media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	return media == "application/octet-stream" || kind == "image" || kind == "audio" || kind == "video"
}
