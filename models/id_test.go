package models_test

import (
	"math"
	"strings"
	"testing"

	"fanfare/models"
)

func TestIDText(t *testing.T) {
	for _, id := range []models.ID{
		{Epoch: "4kq9zt2m", Sequence: 0},
		{Epoch: "4kq9zt2m", Sequence: 1042},
		{Epoch: "A", Sequence: math.MaxUint64},
	} {
		got, err := models.ParseID(id.String())
		if err != nil || got != id {
			t.Errorf("ParseID(%q) = %v, %v", id, got, err)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	cases := map[string]string{
		"empty":             "",
		"no sequence":       "abc",
		"empty sequence":    "abc-",
		"empty epoch":       "-1",
		"negative":          "abc--1",
		"plus":              "abc-+1",
		"leading zero":      "abc-01",
		"not a number":      "abc-x",
		"hexadecimal":       "abc-0x1",
		"too large":         "abc-18446744073709551616",
		"space":             "abc -1",
		"line break":        "abc-1\n",
		"epoch too long":    strings.Repeat("a", 33) + "-1",
		"quote in epoch":    `a"b-1`,
		"not ASCII":         "ü-1",
		"two separators":    "a-b-1",
		"underscore digits": "abc-1_000",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			if id, err := models.ParseID(text); models.AsError(err).Code != models.CodeInvalidCursor {
				t.Errorf("ParseID(%q) = %v, %v", text, id, err)
			}
		})
	}
}
