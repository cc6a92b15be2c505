//go:build unix

package app_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// TestStoreThatCannotBeHad: a server without its store says so, names it, and ends with exit status 1.
func TestStoreThatCannotBeHad(t *testing.T) {
	write := func(t *testing.T, name ...string) string {
		t.Helper()
		file := filepath.Join(name...)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := map[string]struct {
		// prepare gives the store's directory, in one that is empty.
		prepare func(t *testing.T, dir string) string
		want    string
	}{
		"a file":       {func(t *testing.T, dir string) string { return write(t, dir, "a") }, "not a directory"},
		"below a file": {func(t *testing.T, dir string) string { return filepath.Join(write(t, dir, "a"), "b", "c") }, "not a directory"},
		"one that cannot be written to": {
			func(_ *testing.T, _ string) string { return "/proc/self/fanfare" }, "it cannot be made",
		},
		"a broken record": {
			func(t *testing.T, dir string) string { write(t, dir, "fanfare.json"); return dir }, "fanfare.json is broken",
		},
		"a log that is a file": {
			func(t *testing.T, dir string) string { write(t, dir, "nats", "jetstream"); return dir }, "its NATS server cannot start: ",
		},
		"of another process": {
			func(t *testing.T, dir string) string { startStored(t, dir); return dir }, "another process uses it",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := tt.prepare(t, t.TempDir())
			status, text := runToEnd(t, storedIn(dir)...)
			if status != 1 || !strings.Contains(text, "fanfare: nats.store_dir "+dir+": ") || !strings.Contains(text, tt.want) {
				t.Errorf("exit status %d, want 1 and %q, not:\n%s", status, tt.want, text)
			}
			if strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
				t.Errorf("it has crashed:\n%s", text)
			}
		})
	}
}

// runToEnd runs a server that ends by itself, and gives its exit status and what it has to say.
func runToEnd(t *testing.T, environ ...string) (status int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	process := exec.CommandContext(ctx, os.Args[0], "--address", "127.0.0.1:0") //nolint:gosec // itself
	process.Env = append(append(os.Environ(), asProcess+"=1"), environ...)
	process.Dir = t.TempDir()
	var stderr bytes.Buffer
	process.Stderr = &stderr
	_ = process.Run()
	return process.ProcessState.ExitCode(), stderr.String()
}

// TestMachineStops: when the machine has stopped, and may have lost what was answered, cursors are not known any
// more, and what is there can be read. Otherwise they are.
func TestMachineStops(t *testing.T) {
	kill := (*server).kill
	term := func(s *server) { s.stop(); s.awaitEnd() }
	tests := map[string]struct {
		sync        string
		end         func(*server)
		anotherBoot bool
		recovered   bool
	}{
		"the process was killed":                       {"os", kill, false, true},
		"the machine, too":                             {"os", kill, true, false},
		"the machine, too, but all was on the disk":    {"always", kill, true, true},
		"the machine, after the process had its time":  {"os", term, true, true},
		"the process had its time, and was synced too": {"always", term, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := startStored(t, dir, "FANFARE_NATS_SYNC="+tt.sync)
			cursor := s.publish("a", "0", "text/plain").ID
			before := s.publish("a", "1", "text/plain").ID
			tt.end(s)
			if tt.anotherBoot {
				changeBoot(t, dir)
			}

			s = startStored(t, dir, "FANFARE_NATS_SYNC="+tt.sync)
			after := s.publish("a", "2", "text/plain").ID
			messages, recovered := s.history("a", cursor)
			var data []string
			for _, m := range messages {
				data = append(data, m.Data)
			}
			want := []string{"1", "2"}
			if !tt.recovered {
				want = []string{"0", "1", "2"}
			}
			if recovered != tt.recovered || !slices.Equal(data, want) {
				t.Errorf("recovered %v, want %v, and has %q", recovered, tt.recovered, data)
			}
			if tt.recovered == (before.Epoch != after.Epoch) || after.Sequence <= before.Sequence {
				t.Errorf("%v comes after %v", after, before)
			}
		})
	}
}

// changeBoot makes a store one of a machine that was started again since.
func changeBoot(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "fanfare.json")
	text, err := os.ReadFile(name) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	record["boot"] = "another"
	if text, err = json.Marshal(record); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
