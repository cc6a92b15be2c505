package handlers

import (
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

// compactJSON is models.CompactJSON for what a client has sent. CodeInvalidJSON.
func compactJSON(text []byte, what string) (jsontext.Value, error) {
	data, err := models.CompactJSON(text)
	if err != nil {
		return nil, notJSON(what)
	}
	return data, nil
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
