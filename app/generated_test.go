package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGeneratedClient: the Go client that oapi-codegen makes of docs/openapi.json compiles, and works.
func TestGeneratedClient(t *testing.T) {
	s := startServer(t)
	directory := t.TempDir()
	if err := os.CopyFS(directory, os.DirFS("testdata/generated")); err != nil {
		t.Fatal(err)
	}
	run := func(where string, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "go", arguments...) //nolint:gosec // those below
		command.Dir, command.Stderr = where, t.Output()
		out, err := command.Output()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	run("..", "tool", "-modfile=tools.mod", "oapi-codegen", "-generate", "types,client", "-package", "main",
		"-o", filepath.Join(directory, "client.go"), "docs/openapi.json")
	got := run(directory, "run", ".", "http://"+s.address)
	if diff := cmp.Diff("news.eu has 1 message: true\ntrue\n", got); diff != "" {
		t.Errorf("it prints (-want +got):\n%s", diff)
	}
}
