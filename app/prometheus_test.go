package app_test

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/app"
)

// prometheus is one that runs for a test.
type prometheus struct {
	t   *testing.T
	url string
}

// startPrometheus runs one with our alerts that scrapes servers every second.
func startPrometheus(t *testing.T, servers ...*server) *prometheus {
	t.Helper()
	dir := t.TempDir()
	alerts, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\n", alerts) +
		"scrape_configs: [{job_name: fanfare, static_configs: [{targets: ["
	for _, s := range servers {
		config += fmt.Sprintf("'%s',", s.address)
	}
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config+"]}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Prometheus does not say which port it has got, if it may choose.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := tool(t, "prometheus", "--config.file", path, "--web.listen-address", address, "--storage.tsdb.path", dir, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the end of the test ends it
	}()
	t.Cleanup(func() { <-ended })
	p := &prometheus{t, "http://" + address}
	p.await("it to be ready", func() bool {
		select {
		case <-ended:
			t.Fatal("Prometheus has ended")
		default:
		}
		response, err := http.Get(p.url + "/-/ready") //nolint:noctx // soon
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

func (p *prometheus) await(what string, isSo func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !isSo(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// get asks the API for what is below data.
func (p *prometheus) get(path string, data any) {
	p.t.Helper()
	response, err := http.Get(p.url + "/api/v1/" + path) //nolint:noctx // soon
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	answer := struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   any    `json:"data"`
	}{Data: data}
	if err := json.UnmarshalRead(response.Body, &answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("%s: %s %v %s", path, response.Status, err, answer.Error)
	}
}

// query gives the values of all series that an expression has now.
func (p *prometheus) query(expression string) (values []string) {
	p.t.Helper()
	var data struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	p.get("query?query="+url.QueryEscape(expression), &data)
	for _, series := range data.Result {
		values = append(values, fmt.Sprint(series.Value[1]))
	}
	return values
}

// TestPrometheus: a real one scrapes two servers, of each engine one. Every panel of the dashboard shows something,
// every alert can be evaluated, and none fires.
func TestPrometheus(t *testing.T) {
	memory := startServer(t)
	nats := startServer(t, func(config *app.Config) {
		config.Engine, config.NATS.Embedded, config.NATS.StoreDir = "nats", true, t.TempDir()
	})
	p := startPrometheus(t, memory, nats)
	clients := []foreign{memory.subscribed("a"), nats.subscribed("a")}
	p.await("both to be scraped twice under load", func() bool {
		for i, s := range []*server{memory, nats} {
			s.publish("a", "1", "")
			s.receive(clients[i])
		}
		return len(p.query("rate(fanfare_fanout_duration_seconds_count[1m]) > 0")) == 2 &&
			len(p.query("rate(fanfare_http_requests_total{route=\"/metrics\"}[1m]) > 0")) == 2
	})
	expressions := readDashboard(t).expressions()
	for _, where := range slices.Sorted(maps.Keys(expressions)) {
		if values := p.query(expressions[where]); len(values) == 0 || slices.Contains(values, "NaN") {
			t.Errorf("%s shows %q", where, values)
		}
	}

	var file struct {
		Groups []struct {
			Rules []struct {
				Name   string `json:"name"`
				State  string `json:"state"`
				Health string `json:"health"`
			} `json:"rules"`
		} `json:"groups"`
	}
	p.await("all alerts to be evaluated", func() bool {
		p.get("rules", &file)
		for _, rule := range file.Groups[0].Rules {
			if rule.Health == "unknown" {
				return false
			}
		}
		return true
	})
	if got, want := len(file.Groups[0].Rules), len(readAlerts(t)); got != want {
		t.Errorf("it has %d alerts, want %d", got, want)
	}
	for _, rule := range file.Groups[0].Rules {
		if rule.Health != "ok" || rule.State == "firing" { // pending it may be, where a scrape was late
			t.Errorf("%s is %s and %s", rule.Name, rule.Health, rule.State)
		}
	}
}
