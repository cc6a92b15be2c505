package app_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"fanfare/app"
)

// series is what Prometheus has of a server: the values of each label, by the name of the series.
type series map[string]map[string][]string

// seriesOf gives those of a server to which somebody has published and subscribed.
func seriesOf(t *testing.T, s *server) series {
	t.Helper()
	client := s.subscribed("a")
	s.publish("a", "1", "")
	s.receive(client)
	s.scrape() // so that there are answers to count
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.Join(s.scrape(), "\n")))
	if err != nil {
		t.Fatal(err)
	}
	all := series{"up": {}}
	for name, family := range families {
		names := []string{name}
		switch family.GetType() {
		case dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY:
			names = []string{name, name + "_bucket", name + "_sum", name + "_count"}
		default:
		}
		for _, name := range names {
			all[name] = make(map[string][]string)
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					all[name][label.GetName()] = append(all[name][label.GetName()], label.GetValue())
				}
			}
		}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			all[name+"_bucket"]["le"] = nil
			delete(all, name)
		}
	}
	for _, labels := range all { // Prometheus adds them, the last two if there are more clusters than one
		labels["job"], labels["instance"], labels["namespace"], labels["cluster"] = nil, nil, nil, nil
	}
	return all
}

// checkExpressions wants all that expressions of PromQL ask for to be there, whatever the engine is: names, labels
// and values of labels. The expressions are named after where they are.
func checkExpressions(t *testing.T, expressions map[string]string) {
	t.Helper()
	for engine, change := range map[string]func(*app.Config){
		"memory": func(*app.Config) {},
		"nats": func(config *app.Config) {
			config.Engine, config.NATS.Embedded, config.NATS.StoreDir = "nats", true, t.TempDir()
		},
	} {
		t.Run(engine, func(t *testing.T) {
			all := seriesOf(t, startServer(t, change))
			for _, where := range slices.Sorted(maps.Keys(expressions)) {
				for _, mistake := range mistakes(expressions[where], where, all) {
					t.Errorf("%s: %s", where, mistake)
				}
			}
		})
	}
}

// TestMistakesInExpressions: the check is itself checked.
func TestMistakesInExpressions(t *testing.T) {
	all := series{"a_total": {"code": {"1", "2"}, "instance": nil}, "b": {"instance": nil}}
	for expression, want := range map[string]int{
		`sum by (code) (rate(a_total{code="1"}[5m]))`:    0,
		`a_total{code=~"x.*"} / on (instance) b`:         0,
		`rate(nothing_total[5m])`:                        1,
		`sum by (reason) (rate(a_total[5m]))`:            1,
		`sum by (code) (b)`:                              1,
		`a_total{reason="1"}`:                            1,
		`a_total{code="3"}`:                              1,
		`a_total / on (code) b`:                          1,
		`a_total * on (instance) group_left (version) b`: 1,
		`a_total{`: 1,
	} {
		if got := mistakes(expression, "", all); len(got) != want {
			t.Errorf("%s: %q, want %d", expression, got, want)
		}
	}
	if got := mistakes("a_total", "{{code}} {{ reason }}", all); len(got) != 1 {
		t.Errorf("a label that is only shown: %q", got)
	}
}

// mistakes says what an expression asks for, or a text with {{label}} shows of it, that is not there.
func mistakes(text, shown string, all series) (found []string) {
	expression, err := metricsql.Parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	if labels := labelsIn(expression, all); len(labels) > 0 {
		for _, match := range regexp.MustCompile(`{{\s*(\w+)\s*}}`).FindAllStringSubmatch(shown, -1) {
			found = append(found, missing(labels, match[1])...)
		}
	}
	metricsql.VisitAll(expression, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			found = append(found, mistakesOfMetric(e, all)...)
		case *metricsql.AggrFuncExpr:
			for _, arg := range e.Args {
				if labels := labelsIn(arg, all); len(labels) > 0 {
					found = append(found, missing(labels, e.Modifier.Args...)...)
				}
			}
		case *metricsql.BinaryOpExpr:
			left, right := labelsIn(e.Left, all), labelsIn(e.Right, all)
			if len(left) > 0 && len(right) > 0 {
				found = append(found, missing(left, e.GroupModifier.Args...)...)
				found = append(found, missing(right, slices.Concat(e.GroupModifier.Args, e.JoinModifier.Args)...)...)
			}
		}
	})
	return found
}

func mistakesOfMetric(e *metricsql.MetricExpr, all series) (found []string) {
	for _, filters := range e.LabelFilterss {
		name := filters[0].Value // it comes first
		labels, known := all[name]
		if !known {
			return []string{"there is no " + name}
		}
		for _, filter := range filters[1:] {
			values, known := labels[filter.Label]
			if !known || !filter.IsRegexp && len(values) > 0 && !slices.Contains(values, filter.Value) {
				found = append(found, name+" has no "+filter.Label+" "+filter.Value)
			}
		}
	}
	return found
}

// labelsIn gives the labels of all series that an expression asks for and that are there.
func labelsIn(expression metricsql.Expr, all series) map[string][]string {
	labels := make(map[string][]string)
	metricsql.VisitAll(expression, func(e metricsql.Expr) {
		if metric, ok := e.(*metricsql.MetricExpr); ok {
			for _, filters := range metric.LabelFilterss {
				maps.Copy(labels, all[filters[0].Value])
			}
		}
	})
	return labels
}

func missing(labels map[string][]string, wanted ...string) (found []string) {
	for _, label := range wanted {
		if _, known := labels[label]; !known {
			found = append(found, "there is no label "+label)
		}
	}
	return found
}
