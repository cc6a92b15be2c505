package models_test

import (
	"testing"

	"fanfare/models"
)

func TestParseOverflow(t *testing.T) {
	cases := map[string]struct {
		text string
		want models.Overflow
	}{
		"nothing":     {"", models.OverflowDisconnect},
		"disconnect":  {"disconnect", models.OverflowDisconnect},
		"drop_oldest": {"drop_oldest", models.OverflowDropOldest},
		"latest":      {"latest", models.OverflowLatest},
		"unknown":     {"drop_newest", ""},
		"capitals":    {"Latest", ""},
		"white space": {" latest", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := models.ParseOverflow(c.text)
			if got != c.want {
				t.Errorf("ParseOverflow(%q) = %q, want %q", c.text, got, c.want)
			}
			if refused := c.want == ""; refused && models.AsError(err).Code != models.CodeInvalidRequest || !refused && err != nil {
				t.Errorf("ParseOverflow(%q): %v", c.text, err)
			}
		})
	}
}
