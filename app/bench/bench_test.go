package bench

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   string // empty: it is valid
	}{
		"the defaults": {func(*Options) {}, ""},
		"a server":     {func(o *Options) { o.URL = "http://127.0.0.1:8080" }, ""},
		"every scenario": {func(o *Options) {
			o.Scenarios, o.Nodes, o.ServerEnv = ScenarioNames(), []int{1, 2}, []string{"FANFARE_ENGINE=nats"}
		}, ""},
		"nodes without a number":  {func(o *Options) { o.Scenarios = []string{"nodes"} }, "--nodes and --server-env: "},
		"nodes without a cluster": {func(o *Options) { o.Nodes = []int{1} }, "--nodes and --server-env: "},
		"no node":                 {func(o *Options) { o.Nodes, o.ServerEnv = []int{0}, []string{"A=B"} }, "--nodes: "},
		"a URL of none":           {func(o *Options) { o.URL = "ws://localhost/ws" }, "--url: "},
		"a foreign scenario":      {func(o *Options) { o.Scenarios = []string{"paced", "x"} }, `--scenario: there is no "x"; there are paced, burst,`},
		"negative clients":        {func(o *Options) { o.Clients = -1 }, "--clients: "},
		"no topic":                {func(o *Options) { o.Topics = 0 }, "--topics: "},
		"no rate":                 {func(o *Options) { o.Rate = 0 }, "--rate: "},
		"no time":                 {func(o *Options) { o.Duration = 0 }, "--duration: "},
		"too much time":           {func(o *Options) { o.Duration = time.Hour }, "--duration: "},
		"a long soak":             {func(o *Options) { o.Scenarios, o.Duration = []string{"soak"}, time.Hour }, ""},
		"too long a soak":         {func(o *Options) { o.Scenarios, o.Duration = []string{"soak"}, 25*time.Hour }, "--duration: "},
		"a soak among others":     {func(o *Options) { o.Scenarios, o.Duration = []string{"soak", "idle"}, time.Hour }, "--duration: "},
		"too large a message":     {func(o *Options) { o.Size = 1 << 20 }, "--size: "},
		"no round":                {func(o *Options) { o.Rounds = 0 }, "--rounds: "},
		"a setting":               {func(o *Options) { o.ServerEnv = []string{"FANFARE_LOG_LEVEL=error"} }, ""},
		"no setting":              {func(o *Options) { o.ServerEnv = []string{"FANFARE"} }, `--server-env: "FANFARE" is not KEY=VALUE`},
		"a setting for a running server": {func(o *Options) {
			o.URL, o.ServerEnv = "http://localhost:1", []string{"A=B"}
		}, "--server-env: the server at --url has its own environment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := DefaultOptions()
			tt.change(&o)
			err := o.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAddressOf(t *testing.T) {
	tests := map[string]struct{ url, want string }{
		"a name and a port":     {"http://localhost:8080", "localhost:8080"},
		"a slash at the end":    {"http://127.0.0.1:8080/", "127.0.0.1:8080"},
		"no port":               {"http://localhost", "localhost:80"},
		"IPv6":                  {"http://[::1]:8080", "[::1]:8080"},
		"IPv6 without a port":   {"http://[::1]", "[::1]:80"},
		"TLS":                   {"https://localhost:8080", ""},
		"no scheme":             {"localhost:8080", ""},
		"a path":                {"http://localhost:8080/ws", ""},
		"somebody's name in it": {"http://me@localhost:8080", ""},
		"nothing":               {"http://", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := addressOf(tt.url); got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q and %v, want %q", got, err, tt.want)
			}
		})
	}
}

// A floor's frames are as long as those of Fanfare, where they can be.
func TestFloorMessage(t *testing.T) {
	data := appendStamp(nil, stamp{}, 0)
	shortest := len(appendMessage(nil, "bench.0", data, 0))
	for _, want := range []int{shortest, shortest + 1, 200, 5000} {
		if got := len(appendMessage(nil, "bench.0", data, want)); got != want {
			t.Errorf("a frame of %d bytes, want %d", got, want)
		}
	}
}
