package handlers

import (
	"strings"
	"testing"

	"fanfare/models"
)

// TestDataIsKeptTight: what a message keeps in memory is its data, not the body or the
// frame that brought it.
func TestDataIsKeptTight(t *testing.T) {
	spaces := strings.Repeat(" ", 1<<20)
	quotes := strings.Repeat(`"`, 1<<15)
	tests := map[string]struct {
		contentType, body string
	}{
		"white space around":  {"application/json", spaces + "1" + spaces},
		"white space within":  {"application/json", "[1," + spaces + "2]"},
		"text with escapes":   {"text/plain", quotes},
		"bytes":               {"application/octet-stream", quotes},
		"undeclared and JSON": {"", "1" + spaces},
		"undeclared and text": {"", spaces},
	}
	check := func(t *testing.T, data []byte, err error) {
		t.Helper()
		if err != nil || cap(data) > len(data)+len(data)/4+64 {
			t.Errorf("%d bytes are kept for %d: %v", cap(data), len(data), err)
		}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data, _, err := parseBody(tt.contentType, []byte(tt.body))
			check(t, data, err)
			if tt.contentType != "application/json" {
				return
			}
			request, err := decodeRequest([]byte(`{"action":"publish","topic":"a","data":` + tt.body + `}`))
			if err != nil {
				t.Fatal(err)
			}
			draft, err := requestDraft(request)
			check(t, draft.Data, err)
			if draft.Topic != models.Topic("a") {
				t.Errorf("topic %q", draft.Topic)
			}
		})
	}
}
