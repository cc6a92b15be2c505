package handlers

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"fanfare/models"
)

// encodeJSON encodes the body of an answer, with a line end for those who read it in a
// terminal.
func encodeJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(text, '\n'), err
}

// notJSON answers a text that is no I-JSON (RFC 7493).
func notJSON(what string) error {
	return models.Errorf(models.CodeInvalidJSON,
		"%s must be valid JSON, in UTF-8, without a name twice in one object, and nested at most 10,000 deep", what)
}

// compactJSON takes the white space out of a JSON text, in place. The text must be one
// value of I-JSON (RFC 7493): valid UTF-8, no name twice in one object.
func compactJSON(text []byte) (jsontext.Value, error) {
	value := jsontext.Value(text)
	if err := value.Compact(jsontext.AllowInvalidUTF8(false), jsontext.AllowDuplicateNames(false)); err != nil {
		return nil, notJSON("data")
	}
	return fit(value), nil
}

// fit gives data that is kept without the memory that only its making needed: a body
// can be all white space but for one digit.
func fit(data jsontext.Value) jsontext.Value {
	if cap(data)-len(data) > len(data)/4 {
		return bytes.Clone(data)
	}
	return data
}

// decodeRequest reads a client's frame. Unknown fields are errors: whoever asks for
// what this server does not know must not believe that it was understood. The ref is
// read even if the rest is wrong, unless the frame cannot be read at all.
func decodeRequest(frame []byte) (request models.Request, err error) {
	err = json.Unmarshal(frame, &request, json.RejectUnknownMembers(true))
	if err == nil {
		err = checkRef(request.Ref)
		if err != nil {
			request.Ref = nil
		}
		return request, err
	}
	var onlyRef struct {
		Ref models.Ref `json:"ref"`
	}
	if json.Unmarshal(frame, &onlyRef, jsontext.AllowDuplicateNames(true)) != nil || checkRef(onlyRef.Ref) != nil {
		onlyRef.Ref = nil
	}
	return models.Request{Ref: onlyRef.Ref}, describeMismatch("a frame", err)
}

// describeMismatch says what is wrong with an object that was to be decoded, or with which
// of its fields.
func describeMismatch(what string, err error) error {
	const maxShown = 64
	if _, isSyntax := errors.AsType[*jsontext.SyntacticError](err); isSyntax {
		return notJSON(what)
	}
	var field string
	if mismatch, ok := errors.AsType[*json.SemanticError](err); ok {
		field = strings.TrimPrefix(string(mismatch.JSONPointer), "/")
	}
	switch {
	case field == "":
		return models.Errorf(models.CodeInvalidRequest, "%s is one JSON object", what)
	case len(field) > maxShown:
		return models.Errorf(models.CodeInvalidRequest, "a field of %s is unknown or has the wrong type", what)
	case errors.Is(err, json.ErrUnknownName):
		return models.Errorf(models.CodeInvalidRequest, "unknown field %q", field)
	default:
		return models.Errorf(models.CodeInvalidRequest, "field %q has the wrong type", field)
	}
}

// checkRef holds a ref to a string or a number.
func checkRef(ref models.Ref) error {
	switch ref.Kind() {
	case jsontext.KindInvalid, jsontext.KindString, jsontext.KindNumber:
		return nil
	default:
		return models.Errorf(models.CodeInvalidRequest, "ref must be a string or a number")
	}
}
