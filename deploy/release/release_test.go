package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/deploy/bare"
)

// TestRelease: two releases of this commit, made in two directories, are the same, byte for byte; they have what they should, and
// it runs where nothing else is.
func TestRelease(t *testing.T) {
	here := target{runtime.GOOS, runtime.GOARCH}
	first, second := t.TempDir(), filepath.Join(t.TempDir(), "another", "place")
	for _, out := range []string{first, second} {
		t.Setenv("TMPDIR", t.TempDir())
		if out == second {
			beSomebodyElse(t)
		}
		if err := release(t.Context(), "../..", out, []target{here}); err != nil {
			t.Fatal(err)
		}
	}
	contents := contentsOf(t, first)
	for name, content := range contentsOf(t, second) {
		if !bytes.Equal(content, contents[name]) {
			t.Errorf("%s differs", name)
		}
		delete(contents, name)
	}
	for name := range contents {
		t.Errorf("%s is missing the second time", name)
	}

	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = first
	if out, err := check.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK")) != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	top := unpack(t, first)
	checkFiles(t, top)
	checkBill(t, first)
	tryBare(t, top)
}

// beSomebodyElse changes what a machine can have set for git and Go.
func beSomebodyElse(t *testing.T) {
	t.Helper()
	t.Setenv("GOFLAGS", "")
	for name, text := range map[string]string{
		"GOENV":             "GOFLAGS=-tags=other\nGOFIPS140=latest\n",
		"GIT_CONFIG_GLOBAL": "[core]\nautocrlf = true\n[safe]\ndirectory = *\n",
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, file)
	}
}

// tryBare serves, publishes and receives with what an archive has, and nothing else: in memory, and with the log on the disk.
func tryBare(t *testing.T, top string) {
	t.Helper()
	root := bare.Root{T: t, Dir: top, User: os.Getuid(), WorkDir: "/", Command: []string{"/fanfare"}}
	if out := root.Print("version"); !strings.HasPrefix(out, "fanfare v") || !strings.Contains(out, "\ncommit ") || strings.Contains(out, "with changes") {
		t.Errorf("version: %s", out)
	}
	root.Try("--address", "127.0.0.1:0", "--config", "/config.yaml")
	root.Environ = []string{"FANFARE_ENGINE=nats", "FANFARE_NATS_EMBEDDED=true"}
	root.Try("--address", "127.0.0.1:0", "--config", "/config.yaml")
}

// contentsOf reads all files below a directory.
func contentsOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	contents := make(map[string][]byte)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contents[name], err = os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // the test's own
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return contents
}

// oneLike gives the only file of a pattern.
func oneLike(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// unpack unpacks the archive as users do, and gives the directory that it has.
func unpack(t *testing.T, dir string) (top string) {
	t.Helper()
	into := t.TempDir()
	archive := oneLike(t, dir, "*.tar.gz")
	if out, err := exec.CommandContext(t.Context(), "tar", "--extract", "--file", archive, "--directory", into).CombinedOutput(); err != nil { //nolint:gosec // the test's own
		t.Fatalf("%v\n%s", err, out)
	}
	top = oneLike(t, into, "*")
	if want := strings.TrimSuffix(filepath.Base(archive), ".tar.gz"); filepath.Base(top) != want {
		t.Errorf("%s has %s", want, filepath.Base(top))
	}
	return top
}

func checkFiles(t *testing.T, top string) {
	t.Helper()
	modes := make(map[string]string)
	for name := range contentsOf(t, top) {
		info, err := os.Stat(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		modes[name] = info.Mode().String()
	}
	const plain = "-rw-r--r--"
	want := map[string]string{
		"fanfare": "-rwxr-xr-x", "README.md": plain, "CHANGELOG.md": plain, "SECURITY.md": plain, "config.yaml": plain, "LICENSES.txt": plain,
		"completions/fanfare.bash": plain, "completions/_fanfare": plain, "completions/fanfare.fish": plain, "completions/fanfare.ps1": plain,
	}
	if runtime.GOOS == "linux" {
		want["fanfare.service"] = plain
	}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	licenses, err := os.ReadFile(filepath.Join(top, licensesName)) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Go go1.", "github.com/gofiber/fiber/v2 v2.", "github.com/nats-io/nats-server/v2 v2.", "Apache License"} {
		if !bytes.Contains(licenses, []byte(name)) {
			t.Errorf("no licence of %s", name)
		}
	}
}

// checkBill looks whether the bill of materials names what is in the binary.
func checkBill(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(oneLike(t, dir, "*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		BOMFormat  string `json:"bomFormat"`
		Components []struct {
			Name, Version string
		}
	}
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, c := range bill.Components {
		named[c.Name] = c.Version != ""
	}
	if bill.BOMFormat != "CycloneDX" || !named["github.com/gofiber/fiber/v2"] || !named["github.com/nats-io/nats-server/v2"] || named["github.com/google/go-cmp"] {
		t.Errorf("%s names %d components: %v", bill.BOMFormat, len(named), named)
	}
}

// TestReleaseMistakes: what cannot be released says why.
func TestReleaseMistakes(t *testing.T) {
	if err := release(t.Context(), t.TempDir(), t.TempDir(), targets()); err == nil || !strings.Contains(err.Error(), "git clone") {
		t.Errorf("a directory that is no repository: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeChecksums(file, []string{"x"}); !errors.Is(err, fs.ErrExist) && err == nil {
		t.Error("checksums below a file")
	}
}
