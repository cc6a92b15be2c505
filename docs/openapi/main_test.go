package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestConvert: what a comment of a handler does not say, or says wrong, is told.
func TestConvert(t *testing.T) {
	t.Chdir("../..") // the structs are looked for from the root
	for name, tt := range map[string]struct{ change, by, want string }{
		"nothing":                  {},
		"no code":                  {`"conflict: `, `"`, "the description of 409 names no code"},
		"a code of another status": {`"conflict: `, `"not_found: `, "not_found has the status"},
		"a code without a meaning": {`"x-enum-descriptions"`, `"x-other"`, "each models.Code needs a comment behind it"},
		"a wrong example":          {`"example": "2026-11-23T17:45:01.250Z"`, `"example": 1`, "invalid example"},
		"a patch of nonsense":      {`"application/x-ndjson": {`, `"application/x-ndjson": {"schema": 1,`, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			swagger, err := os.ReadFile("docs/swagger.json")
			if err != nil {
				t.Fatal(err)
			}
			changed := string(swagger)
			if tt.change != "" {
				if changed = strings.ReplaceAll(changed, tt.change, tt.by); changed == string(swagger) {
					t.Fatalf("the document has no %s", tt.change)
				}
			}
			_, err = convert([]byte(changed))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// The examples of RFC 7396, appendix A, which an operation can have.
func TestMerge(t *testing.T) {
	for _, tt := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got, err := json.Marshal(merge(parsed(t, tt.target), parsed(t, tt.patch)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s and %s (-want +got):\n%s", tt.target, tt.patch, diff)
		}
	}
}

func parsed(t *testing.T, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
