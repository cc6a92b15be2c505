package handlers_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"fanfare/broker/enginetest"
	"fanfare/models"
)

// scrape reads /metrics as Prometheus does.
func (s *server) scrape(t *testing.T, headers ...string) map[string]*dto.MetricFamily {
	t.Helper()
	a := s.do(t, "GET", "/metrics", "", headers...)
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
		"fanfare_clients websocket":                                   1,
		"fanfare_client_closes_total 1000|bye":                        1,
		"fanfare_messages_dropped_total latest":                       0,
		"fanfare_messages_published_total":                            3,
		"fanfare_messages_delivered_total":                            2,
		"fanfare_outbox_bytes":                                        0,
		"fanfare_subscriptions":                                       2,
		"fanfare_subscribed_topics":                                   1,
		"fanfare_client_closes_total 4001|never":                      0,
		"fanfare_published_bytes_total":                               3,
		"fanfare_engine_info memory":                                  1,
		"fanfare_engine_up":                                           1,
		"fanfare_ready":                                               1,
		"fanfare_cluster_nodes":                                       1,
		"fanfare_log_messages":                                        3,
		"fanfare_log_topics":                                          3,
		"fanfare_log_max_age_seconds":                                 3600,
		"fanfare_frames_received_total subscribe":                     1,
		"fanfare_http_requests_total POST|/topics/{name}/publish|200": 3,
		"fanfare_http_requests_total GET|/ws|101":                     2,
		"fanfare_http_requests_total GET|/clients/{id}|404":           1,
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
	for name, count := range map[string]uint64{"fanfare_publish_duration_seconds": 3, "fanfare_fanout_duration_seconds": 2} {
		var h *dto.Histogram
		eventually(t, func() bool {
			families = s.scrape(t)
			h = families[name].GetMetric()[0].GetHistogram()
			return h.GetSampleCount() >= count
		})
		if h.GetSampleCount() != count || h.GetSampleSum() <= 0 || h.GetSampleSum() > patience.Seconds() {
			t.Errorf("%s: %v", name, h)
		}
		for i, bucket := range h.GetBucket() {
			if i > 0 && bucket.GetCumulativeCount() < h.GetBucket()[i-1].GetCumulativeCount() {
				t.Errorf("%s: %v", name, h)
			}
		}
	}
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

// TestMetricsTable: docs/metrics.md has every metric of ours, as it is, and no other.
func TestMetricsTable(t *testing.T) {
	page, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t)
	s.publish(t, "a", "1") // or there were no oldest message
	var want []string
	for name, family := range s.scrape(t) {
		if !strings.HasPrefix(name, "fanfare_") {
			continue
		}
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+label.GetName()+"`")
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |",
			name, strings.ToLower(family.GetType().String()), strings.Join(labels, " "), family.GetHelp()))
	}
	got := regexp.MustCompile("(?m)^\\| `fanfare_.*$").FindAllString(string(page), -1)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("docs/metrics.md and the server differ (-page +server):\n%s", diff)
	}
}

// refused gives how many of each code there were, without those of which there were none.
func (s *server) refused(t *testing.T, headers ...string) map[models.Code]float64 {
	t.Helper()
	refused := make(map[models.Code]float64)
	for _, metric := range s.scrape(t, headers...)["fanfare_refusals_total"].GetMetric() {
		if n := metric.GetCounter().GetValue(); n > 0 {
			refused[models.Code(metric.GetLabel()[0].GetValue())] = n
		}
	}
	return refused
}

// TestMetricsCountRefusals: whatever is refused is counted by its code, wherever that happens.
func TestMetricsCountRefusals(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Clients = 1 })
	if n := len(s.scrape(t)["fanfare_refusals_total"].GetMetric()); n != len(models.Codes()) {
		t.Errorf("of %d codes, %d are there from the start", len(models.Codes()), n)
	}
	c := s.dial(t)
	for name, step := range map[string]struct {
		do   func()
		want map[models.Code]float64
	}{
		"no route":          {func() { s.get(t, "/nowhere") }, map[models.Code]float64{models.CodeNotFound: 1}},
		"a handler's error": {func() { s.do(t, "POST", "/topics/a.*/publish", "1") }, map[models.Code]float64{models.CodeInvalidTopic: 1}},
		"the guard":         {func() { s.do(t, "GET", "/topics", "", "Origin", "http://evil.example") }, map[models.Code]float64{models.CodeForbidden: 1}},
		"an unreadable request": {func() {
			raw := s.dialRaw(t)
			raw.send(t, "GET / HTTP/1.1\r\nnot a header\r\n\r\n")
			raw.answers(t)
		}, map[models.Code]float64{models.CodeInvalidRequest: 1}},
		"a frame":        {func() { c.ask(t, `{"action":"publish"}`) }, map[models.Code]float64{models.CodeInvalidTopic: 1}},
		"no JSON":        {func() { c.ask(t, `{`) }, map[models.Code]float64{models.CodeInvalidJSON: 1}},
		"one too many":   {func() { s.do(t, "GET", "/ws", "", handshake()...) }, map[models.Code]float64{models.CodeTooManyClients: 1}},
		"no more stream": {func() { s.do(t, "GET", "/events?topic=a", "", "Accept", "text/event-stream") }, map[models.Code]float64{models.CodeTooManyClients: 1}},
		"some of a batch": {func() {
			s.publishBatch(t, `{"messages":[{"topic":"","data":1},{"topic":"a","data":1},{"topic":"*","data":1},{"topic":"a"}]}`)
		}, map[models.Code]float64{models.CodeInvalidTopic: 2, models.CodeInvalidRequest: 1}},
		"nothing": {func() { s.publish(t, "a", "1") }, nil},
	} {
		before := s.refused(t)
		step.do()
		after := s.refused(t)
		for code, n := range before {
			if after[code] -= n; after[code] == 0 {
				delete(after, code)
			}
		}
		if diff := cmp.Diff(step.want, after, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	families := s.scrape(t)
	for labels, n := range map[string]float64{
		"GET|none|404":                    1,
		"POST|/topics/{name}/publish|400": 1,
		"GET|none|403":                    1,
		"none|none|400":                   1,
		"GET|/ws|101":                     1,
		"GET|/ws|503":                     1,
		"GET|/events|200":                 1,
		"POST|/publish|200":               1,
	} {
		if got := value(families, "fanfare_http_requests_total", strings.Split(labels, "|")...); got != n {
			t.Errorf("%s was answered %v times, want %v", labels, got, n)
		}
	}
	for action, n := range map[models.Action]float64{models.ActionPublish: 1, "unknown": 1, models.ActionPing: 0} {
		if got := value(families, "fanfare_frames_received_total", string(action)); got != n {
			t.Errorf("%v frames of %s, want %v", got, action, n)
		}
	}
}

// TestMetricsHaveNoUsersData: nothing that clients choose is a label, so nobody can have them grow.
func TestMetricsHaveNoUsersData(t *testing.T) {
	s := start(t)
	s.get(t, "/"+mark)
	s.do(t, "POST", "/topics/"+mark+"/publish", mark, "User-Agent", mark, "X-Request-Id", mark)
	s.do(t, strings.ToUpper(mark), "/", "")
	s.do(t, "GET", "/topics/"+mark+"?"+mark+"="+mark, "")
	s.do(t, "GET", "/console/"+mark, "")
	c := s.dial(t)
	c.ask(t, `{"action":"`+mark+`"}`)
	c.ask(t, `{"action":"subscribe","topic":"`+mark+`"}`)
	raw := s.dialRaw(t)
	raw.send(t, mark+" / "+mark+"\r\n\r\n")
	raw.answers(t)
	body := s.get(t, "/metrics").body
	for line := range strings.Lines(body) {
		if strings.Contains(strings.ToLower(line), mark) {
			t.Errorf("%s", line)
		}
	}
	if n := strings.Count(body, "fanfare_http_requests_total{"); n != 7 {
		t.Errorf("%d kinds of answers, want 7", n)
	}
}

// TestMetricsCountUnauthorized: who has no good token is counted, however it is told.
func TestMetricsCountUnauthorized(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}), func(s *setup) { s.handlers.AuthTimeout = time.Millisecond })
	admin := bearer(token("root", grant{"admin": true}))
	s.do(t, "GET", "/clients", "", bearer("no")...)
	s.do(t, "GET", "/metrics", "")
	s.upgrade(t, "?access_token=no").closeCode(t)
	s.upgrade(t, "").closeCode(t) // whose time to say who it is is over
	var got float64
	eventually(t, func() bool {
		got = s.refused(t, admin...)[models.CodeUnauthorized]
		return got >= 4
	})
	if got != 4 {
		t.Errorf("%v were unauthorized, want 4", got)
	}
}

// TestMetricsWithoutTheLog: while the log is away, the rest is there, and says so.
func TestMetricsWithoutTheLog(t *testing.T) {
	unruly := enginetest.NewUnruly(1, enginetest.Generous())
	s := start(t, func(s *setup) { s.engine = unruly })
	s.publish(t, "a", "1")
	for _, away := range []bool{false, true, false} {
		unruly.ComeBack()
		if away {
			unruly.GoAway()
		}
		families := s.scrape(t)
		up, ready := value(families, "fanfare_engine_up"), value(families, "fanfare_ready")
		if (up == 0) != away || (ready == 0) != away || value(families, "fanfare_messages_published_total") != 1 {
			t.Errorf("away %v: up %v, ready %v", away, up, ready)
		}
		if _, found := families["fanfare_log_messages"]; found == away {
			t.Errorf("away %v: the log is told: %v", away, found)
		}
	}
}

// TestOpenMetrics: who asks for it gets it, to its end.
func TestOpenMetrics(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		accept, kind string
		open         bool
	}{
		"nothing":             {"", "text/plain; version=0.0.4; charset=utf-8", false},
		"a browser":           {"text/html,*/*;q=0.8", "text/plain; version=0.0.4; charset=utf-8", false},
		"Prometheus":          {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text; version=1.0.0; charset=utf-8", true},
		"an older Prometheus": {"text/plain;version=0.0.4;q=1,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8", false},
	} {
		a := s.do(t, "GET", "/metrics", "", "Accept", c.accept)
		if kind := a.header.Get("Content-Type"); a.status != http.StatusOK || !strings.HasPrefix(kind, c.kind) {
			t.Errorf("%s: %d %s", name, a.status, kind)
		}
		if strings.HasSuffix(a.body, "# EOF\n") != c.open || !strings.Contains(a.body, "fanfare_clients{") {
			t.Errorf("%s: it ends with %q", name, a.body[max(0, len(a.body)-100):])
		}
	}
}
