package handlers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape reads /metrics as Prometheus does.
func (s *server) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	a := s.get(t, "/metrics")
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %s", a.status, a.header.Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value gives the metric of a name whose labels have the values, in the order of the names
// of the labels; 0 if there is none.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, metric := range families[name].GetMetric() {
		var values []string
		for _, label := range metric.GetLabel() {
			values = append(values, label.GetValue())
		}
		if strings.Join(values, "|") == strings.Join(labels, "|") {
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return 0
}

func TestMetrics(t *testing.T) {
	s := start(t)
	// Rates need a beginning.
	families := s.scrape(t)
	if len(families["fanfare_clients"].GetMetric()) != 4 || len(families["fanfare_client_closes_total"].GetMetric()) != 3 {
		t.Errorf("before anybody has come: %v", families)
	}
	one, other := s.dial(t), s.dial(t)
	one.ask(t, `{"action":"subscribe","topics":["a","b.*"],"ref":1}`)
	s.publish(t, "a", "1")
	s.publish(t, "b.c", "1")
	s.publish(t, "nobody", "1")
	for range 2 {
		if _, _, err := one.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	_ = other.WriteMessage(websocket.CloseMessage, nil)
	_ = other.Close()
	eventually(t, func() bool { return s.get(t, "/clients/"+other.id).status == http.StatusNotFound })

	want := map[string]float64{
		"fanfare_clients websocket":              1,
		"fanfare_client_closes_total 1000|bye":   1,
		"fanfare_messages_dropped_total latest":  0,
		"fanfare_messages_published_total":       3,
		"fanfare_messages_delivered_total":       2,
		"fanfare_outbox_bytes":                   0,
		"fanfare_subscriptions":                  2,
		"fanfare_subscribed_topics":              1,
		"fanfare_client_closes_total 4001|never": 0,
	}
	for metric, n := range want {
		name, labels, _ := strings.Cut(metric, " ")
		var got float64
		// Clients leave the list a moment before they leave the count.
		eventually(t, func() bool {
			var values []string
			if labels != "" {
				values = strings.Split(labels, "|")
			}
			got = value(s.scrape(t), name, values...)
			return got == n || n == 0
		})
		if got != n {
			t.Errorf("%s is %v, want %v", metric, got, n)
		}
	}
	families = s.scrape(t)
	for _, name := range []string{
		"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "go_goroutines",
		"fanfare_build_info", "fanfare_messages_dropped_total",
	} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	problems, err := promlint.New(strings.NewReader(s.get(t, "/metrics").body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "fanfare_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
