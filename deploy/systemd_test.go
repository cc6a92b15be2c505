package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"fanfare/app"
)

// maxExposure is the worst that systemd-analyze may say of the unit, in tenths: 0 is not exposed at all, 100 wholly.
const maxExposure = "15"

// unitOf reads the settings of a unit, each as often as it stands there.
func unitOf(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(name) //nolint:gosec // ours
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			settings[key] = append(settings[key], value)
		}
	}
	return settings
}

// TestSystemdUnit holds the unit to what the server does, and has systemd look at it, where there is one.
func TestSystemdUnit(t *testing.T) {
	const name = "systemd/fanfare.service"
	unit := unitOf(t, name)
	for key, want := range map[string][]string{
		"Type":             {"notify"}, // app/notify.go
		"ExecStart":        {"/usr/local/bin/fanfare serve --config /etc/fanfare/config.yaml"},
		"ExecReload":       {"/bin/kill -HUP $MAINPID"},
		"StateDirectory":   {"fanfare"},
		"WorkingDirectory": {"%S/fanfare"},
	} {
		if !slices.Equal(unit[key], want) {
			t.Errorf("%s=%v, want %v", key, unit[key], want)
		}
	}
	const drain = 5 * time.Second // behind a load balancer, as config.yaml says
	stop, err := time.ParseDuration(strings.Join(unit["TimeoutStopSec"], ""))
	if least := app.DefaultConfig().Server.ShutdownTimeout + drain; err != nil || stop <= least {
		t.Errorf("TimeoutStopSec=%v is not more than %v: %v", unit["TimeoutStopSec"], least, err)
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("there is no systemd-analyze here")
		return
	}
	// The program has to be there.
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(name))
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/fanfare", executable)), 0o600); err != nil { //nolint:gosec // a copy of ours
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", copied}, {"security", "--offline=true", "--threshold=" + maxExposure, copied}} {
		out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput() //nolint:gosec // its path and a copy
		if err != nil || args[0] == "verify" && strings.Contains(string(out), filepath.Base(name)+":") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}
