package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"fanfare/models"
)

// TestProfiles: each is what go tool pprof or go tool trace reads, or text if that was asked for.
func TestProfiles(t *testing.T) {
	s := start(t)
	for name, tt := range map[string]struct{ path, begins, contentType string }{
		"heap":              {"heap", "\x1f\x8b", "application/octet-stream"},
		"allocs":            {"allocs", "\x1f\x8b", "application/octet-stream"},
		"goroutines":        {"goroutine", "\x1f\x8b", "application/octet-stream"},
		"threads":           {"threadcreate", "\x1f\x8b", "application/octet-stream"},
		"CPU":               {"profile?seconds=1", "\x1f\x8b", "application/octet-stream"},
		"what blocks":       {"block?seconds=1", "\x1f\x8b", "application/octet-stream"},
		"locks":             {"mutex?seconds=1&debug=1", "\x1f\x8b", "application/octet-stream"},
		"a trace":           {"trace?seconds=1", "go 1.", "application/octet-stream"},
		"goroutines, short": {"goroutine?debug=1", "goroutine profile: total ", "text/plain; charset=utf-8"},
		"goroutines, long":  {"goroutine?debug=2", "goroutine ", "text/plain; charset=utf-8"},
	} {
		a := s.get(t, "/debug/pprof/"+tt.path)
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, tt.begins) || a.header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s: %d, %s: %.60q", name, a.status, a.header.Get("Content-Type"), a.body)
		}
		profile, _, _ := strings.Cut(tt.path, "?")
		if len(s.log.having("act=profile", "profile="+profile)) == 0 {
			t.Errorf("%s: it is not written down", name)
		}
	}
}

func TestProfileMistakes(t *testing.T) {
	s := start(t)
	for path, tt := range map[string]struct {
		status int
		code   models.Code
	}{
		"cmdline":             {http.StatusNotFound, models.CodeNotFound},
		mark:                  {http.StatusNotFound, models.CodeNotFound},
		"heap/x":              {http.StatusNotFound, models.CodeNotFound},
		"profile?seconds=0":   {http.StatusBadRequest, models.CodeInvalidRequest},
		"profile?seconds=61":  {http.StatusBadRequest, models.CodeInvalidRequest},
		"trace?seconds=1e1":   {http.StatusBadRequest, models.CodeInvalidRequest},
		"mutex?seconds=-1":    {http.StatusBadRequest, models.CodeInvalidRequest},
		"heap?debug=3":        {http.StatusBadRequest, models.CodeInvalidRequest},
		"heap?debug=" + mark:  {http.StatusBadRequest, models.CodeInvalidRequest},
		"goroutine?debug=-1":  {http.StatusBadRequest, models.CodeInvalidRequest},
		"block?seconds=65537": {http.StatusBadRequest, models.CodeInvalidRequest},
	} {
		t.Run(path, func(t *testing.T) { s.get(t, "/debug/pprof/"+path).checkProblem(t, tt.status, tt.code) })
	}
}

// TestRecording: one is recorded at a time, others do not wait for it, and the shutdown does not either.
func TestRecording(t *testing.T) {
	s := start(t)
	recorded := make(chan answer, 1)
	go func() {
		a, err := s.try("GET", "/debug/pprof/trace?seconds=60", "")
		if err != nil {
			t.Error(err)
		}
		recorded <- a
	}()
	eventually(t, func() bool { return len(s.log.having("act=profile", "profile=trace")) > 0 })
	var second answer
	eventually(t, func() bool { // the first has been written down, and begins a moment later
		second = s.get(t, "/debug/pprof/mutex?seconds=1")
		return second.status == http.StatusConflict
	})
	second.checkProblem(t, http.StatusConflict, models.CodeConflict)
	if a := s.get(t, "/debug/pprof/heap"); a.status != http.StatusOK {
		t.Errorf("a heap profile meanwhile: %d %s", a.status, a.body)
	}
	if err := s.app.Shutdown(); err != nil {
		t.Error(err)
	}
	(<-recorded).checkProblem(t, http.StatusServiceUnavailable, models.CodeShuttingDown)
}
