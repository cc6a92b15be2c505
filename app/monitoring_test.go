package app_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const (
	dashboardFile = "../deploy/grafana/fanfare.json"
	alertsFile    = "../deploy/prometheus/alerts.yml"
)

// dashboard is the part of Grafana's model that matters.
type dashboard struct {
	Templating struct {
		List []struct {
			Name, Type, Definition string
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	Grid        struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []target `json:"targets"`
}

type datasource struct {
	Type, UID string
}

type target struct {
	Datasource datasource `json:"datasource"`
	RefID      string     `json:"refId"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions gives those of all panels by where they are, with values in place of Grafana's variables.
func (d dashboard) expressions() map[string]string {
	expressions := make(map[string]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			where := fmt.Sprintf("panel %d %s %q, %s", p.ID, target.RefID, p.Title, target.Legend)
			expressions[where] = strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m").Replace(target.Expr)
		}
	}
	return expressions
}

// rules is a file of Prometheus' rules.
type rules struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func readAlerts(t *testing.T) (alerts []rule) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file rules
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		alerts = append(alerts, group.Rules...)
	}
	return alerts
}

// tool runs one of Prometheus' programs, which has to be there.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: it is in Debian's package prometheus, which `make monitoring` installs as root", err)
	}
	return exec.CommandContext(t.Context(), path, args...) //nolint:gosec // the tests say what
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if output, err := tool(t, "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// TestDashboard: Grafana's panels ask for what there is, and can be laid out.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	ids := make(map[int]bool)
	var last panel
	for _, p := range d.Panels {
		if p.Title == "" || ids[p.ID] || p.Grid.W == 0 || p.Grid.H == 0 || p.Grid.X+p.Grid.W > 24 {
			t.Errorf("panel %d %q: it has no title, somebody else's id or no place", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Grid.Y < last.Grid.Y || p.Grid.Y == last.Grid.Y && p.Grid.X < last.Grid.X+last.Grid.W && last.Title != "" {
			t.Errorf("panel %q lies over %q", p.Title, last.Title)
		}
		last = p
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q has no description, or shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
				t.Errorf("panel %q is bound to a data source", p.Title)
			}
			if !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("panel %q shows other instances than those that are chosen", p.Title)
			}
		}
	}
	variables := make(map[string]string)
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type + " " + v.Definition
	}
	want := map[string]string{"datasource": "datasource ", "instance": "query label_values(fanfare_build_info, instance)"}
	if diff := cmp.Diff(want, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	checkExpressions(t, d.expressions())

	// What is more than a name and a label, promtool knows.
	var file rules
	for _, where := range slices.Sorted(maps.Keys(d.expressions())) {
		file.Groups = append(file.Groups, ruleGroup{
			Name: where, Rules: []rule{{Record: "panel", Expr: d.expressions()[where]}},
		})
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// TestAlerts: the alerts ask for what there is, say what somebody needs to know, and fire when they should.
func TestAlerts(t *testing.T) {
	alerts := readAlerts(t)
	expressions := make(map[string]string)
	tests, err := os.ReadFile("../deploy/prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range alerts {
		expressions[alert.Alert] = alert.Expr
		if s := alert.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", alert.Alert, s)
		}
		var said []string
		for _, name := range slices.Sorted(maps.Keys(alert.Annotations)) {
			if alert.Annotations[name] != "" {
				said = append(said, name)
			}
		}
		if want := []string{"description", "runbook_url", "summary"}; !slices.Equal(said, want) {
			t.Errorf("%s says %q, want %q", alert.Alert, said, want)
		}
		if !strings.Contains(string(tests), `{alertname="`+alert.Alert+`"`) {
			t.Errorf("%s has no test in which it fires", alert.Alert)
		}
	}
	if len(expressions) != len(alerts) || len(alerts) == 0 {
		t.Errorf("%d alerts with %d names", len(alerts), len(expressions))
	}
	checkExpressions(t, expressions)
	promtool(t, "check", "rules", alertsFile)
	promtool(t, "test", "rules", "../deploy/prometheus/alerts_test.yml")
	promtool(t, "check", "config", "--syntax-only", "../deploy/prometheus/prometheus.yml")
}
