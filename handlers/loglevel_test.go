package handlers_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"fanfare/models"
)

// TestLogLevel: what is set counts at once, is told, and is written down; what is wrong changes nothing.
func TestLogLevel(t *testing.T) {
	var level slog.LevelVar
	s := start(t, func(s *setup) { s.handlers.LogLevel = &level })
	if a := s.get(t, "/log/level"); a.status != http.StatusOK || a.body != `{"level":"info"}`+"\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for name, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	} {
		text := `{"level":"` + name + `"}`
		for _, a := range []answer{s.do(t, "PUT", "/log/level", text), s.get(t, "/log/level")} {
			if a.status != http.StatusOK || a.body != text+"\n" || level.Level() != want {
				t.Errorf("%s: %d %s, and it is %v", name, a.status, a.body, level.Level())
			}
		}
		if n := len(s.log.having("act=set_log_level", "level="+name)); n != 1 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
	level.Set(slog.LevelWarn)
	for name, tt := range map[string]struct {
		body   string
		status int
		code   models.Code
	}{
		"nothing":          {"", http.StatusBadRequest, models.CodeInvalidJSON},
		"no JSON":          {mark, http.StatusBadRequest, models.CodeInvalidJSON},
		"no object":        {`"debug"`, http.StatusBadRequest, models.CodeInvalidRequest},
		"no level":         {`{}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"another level":    {`{"level":"` + mark + `"}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"slog's own":       {`{"level":"INFO+2"}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"a number":         {`{"level":4}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"an unknown field": {`{"level":"debug","for":"1h"}`, http.StatusBadRequest, models.CodeInvalidRequest},
		"too much":         {strings.Repeat(" ", 1<<10) + `{"level":"debug"}`, http.StatusRequestEntityTooLarge, models.CodePayloadTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(t, "PUT", "/log/level", tt.body).checkProblem(t, tt.status, tt.code)
			if level.Level() != slog.LevelWarn {
				t.Errorf("it is %v", level.Level())
			}
		})
	}
}
