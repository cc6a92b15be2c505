//go:build !linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runBare runs the binary, beside all else that the machine has.
func runBare(t *testing.T, top string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(top, "fanfare"), "version").CombinedOutput() //nolint:gosec // the test's own
	if err != nil || !strings.HasPrefix(string(out), "fanfare v") {
		t.Errorf("%v: %s", err, out)
	}
}
