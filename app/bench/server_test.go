package bench

import (
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A running server is asked for its figures at /metrics. One that has none is no failure;
// one that fails is.
func TestFiguresOfARunningServer(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   float64 // of CPU
		fails  bool
	}{
		"it has them":       {http.StatusOK, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.5\n", 1.5, false},
		"it has others":     {http.StatusOK, "clients 3\n", math.NaN(), false},
		"there is no route": {http.StatusNotFound, "", math.NaN(), false},
		"it is forbidden":   {http.StatusForbidden, "go away", math.NaN(), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			running := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/metrics" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer running.Close()
			s := &server{address: strings.TrimPrefix(running.URL, "http://"), http: running.Client()}
			got, err := s.figures(t.Context())
			if same := got.cpu == tt.want || math.IsNaN(got.cpu) && math.IsNaN(tt.want); !same || (err != nil) != tt.fails {
				t.Errorf("got %v and %v, want %v", got.cpu, err, tt.want)
			}
		})
	}
}

// The servers that are started have no configuration but what was asked for.
func TestServerEnviron(t *testing.T) {
	r := &runner{
		options: Options{ServerEnv: []string{"FANFARE_LIMITS_OUTBOX_SIZE=8MiB"}},
		environ: []string{"HOME=/", "FANFARE_SERVER_ADDRESS=127.0.0.1:1", "PATH=/bin"},
	}
	const want = "FANFARE_LOG_LEVEL=warn HOME=/ PATH=/bin FANFARE_LIMITS_OUTBOX_SIZE=8MiB"
	if got := strings.Join(r.serverEnviron(), " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
