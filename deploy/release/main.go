// Command release makes the archives of a release, with checksums and a bill of materials for each. The same commit and the same
// Go give the same bytes, wherever it runs.
package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// target is what a binary is for.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "-" + t.arch }

// targets are those of a release. Of 32-bit ARM it is version 7.
func targets() []target {
	return []target{
		{"linux", "amd64"}, {"linux", "arm64"}, {"linux", "arm"},
		{"darwin", "amd64"}, {"darwin", "arm64"},
		{"windows", "amd64"}, {"windows", "arm64"},
	}
}

func main() {
	repository := flag.String("repository", ".", "the repository whose HEAD is released")
	out := flag.String("out", "dist", "the directory for the files of the release")
	licenses := flag.String("licenses", "", "write the licences of what is in this `binary` to standard output, and nothing else")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, *repository, *out, *licenses); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, repository, out, licenses string) error {
	if licenses == "" {
		return release(ctx, repository, out, targets())
	}
	text, err := licensesOf(ctx, licenses)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// release makes the files for the targets. What is not committed is not in them: it works on a clone.
func release(ctx context.Context, repository, out string, targets []target) error {
	dir, err := os.MkdirTemp("", "fanfare-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the way of nobody
	s := source{dir: filepath.Join(dir, "src"), work: dir}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := s.open(ctx, repository); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	var names []string
	for _, t := range targets {
		made, err := s.make(ctx, t, out)
		if err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
		names = append(names, made...)
	}
	return writeChecksums(out, names)
}

// source is a clone of a repository.
type source struct {
	dir, work string
	// time is when its commit was made, which all files have for theirs.
	time time.Time
	// completions are by their names in the archives.
	completions map[string][]byte
}

// open clones the repository, and makes what is the same for all targets.
func (s *source) open(ctx context.Context, repository string) error {
	if _, err := run(ctx, "", nil, "git", "clone", "--quiet", "--config", "core.autocrlf=false", repository, s.dir); err != nil {
		return err
	}
	committed, err := run(ctx, s.dir, nil, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return err
	}
	if s.time, err = time.Parse(time.RFC3339, strings.TrimSpace(string(committed))); err != nil {
		return err
	}
	s.time = s.time.UTC()
	here, err := s.build(ctx, target{})
	if err != nil {
		return err
	}
	s.completions = make(map[string][]byte)
	for shell, name := range map[string]string{"bash": "fanfare.bash", "zsh": "_fanfare", "fish": "fanfare.fish", "powershell": "fanfare.ps1"} {
		if s.completions[name], err = run(ctx, "", nil, here, "completion", shell); err != nil {
			return err
		}
	}
	return nil
}

// build builds the binary for a target, or for here, and gives its path.
func (s *source) build(ctx context.Context, t target) (binary string, err error) {
	binary = filepath.Join(s.work, t.String(), "fanfare")
	// What is not empty here counts before what somebody has set with go env -w.
	env := []string{"CGO_ENABLED=0", "GOFLAGS=-trimpath", "GOFIPS140=off"}
	if t.os != "" {
		env = append(env, "GOOS="+t.os, "GOARCH="+t.arch, "GOARM=7", "GOAMD64=v1", "GOARM64=v8.0")
	}
	_, err = run(ctx, s.dir, env, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", binary, ".")
	return binary, err
}

// make makes the archive for a target and its bill of materials, and gives their names.
func (s *source) make(ctx context.Context, t target, out string) (names []string, err error) {
	binary, err := s.build(ctx, t)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("fanfare-%s-%v", info.Main.Version, t)
	files, err := s.files(binary, name, t)
	if err != nil {
		return nil, err
	}
	licenses, err := licensesOf(ctx, binary)
	if err != nil {
		return nil, err
	}
	files = append(files, file{name + "/" + licensesName, licenses, false})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	archive, write := name+".tar.gz", writeTar
	if t.os == "windows" {
		archive, write = name+".zip", writeZip
	}
	if err := writeFile(filepath.Join(out, archive), func(w io.Writer) error { return write(w, files, s.time) }); err != nil {
		return nil, err
	}
	bill := name + ".cdx.json"
	text, err := s.bill(ctx, binary, info.Main.Version)
	if err == nil {
		err = os.WriteFile(filepath.Join(out, bill), text, 0o644) //nolint:gosec // for everybody
	}
	return []string{archive, bill}, err
}

// bill makes the bill of materials of a binary, in CycloneDX. It says what made it, but not with which bytes: those depend on this machine.
func (s *source) bill(ctx context.Context, binary, version string) ([]byte, error) {
	made, err := run(ctx, s.dir, []string{"GOFLAGS="}, "go", "tool", "-modfile=tools.mod", "cyclonedx-gomod", "bin", "-json", "-noserial", "-notimestamp",
		"-version", version, binary)
	if err != nil {
		return nil, err
	}
	var bill map[string]any
	if err := json.Unmarshal(made, &bill); err != nil {
		return nil, err
	}
	metadata, _ := bill["metadata"].(map[string]any)
	tools, _ := metadata["tools"].([]any)
	for _, tool := range tools {
		if tool, ok := tool.(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	text, err := json.MarshalIndent(bill, "", "  ")
	return append(text, '\n'), err
}

// file is one of an archive.
type file struct {
	name       string // with slashes
	content    []byte
	executable bool
}

// files are those of the archive for a target, below one directory, but the licences.
func (s *source) files(binary, top string, t target) (files []file, err error) {
	add := func(name, path string, executable bool) {
		content, readErr := os.ReadFile(path) //nolint:gosec // of the clone, or just built
		if readErr != nil && err == nil {
			err = readErr
		}
		files = append(files, file{top + "/" + name, content, executable})
	}
	executable := "fanfare"
	if t.os == "windows" {
		executable += ".exe"
	}
	add(executable, binary, true)
	for _, name := range []string{"README.md", "CHANGELOG.md", "SECURITY.md", "config.yaml"} {
		add(name, filepath.Join(s.dir, name), false)
	}
	if t.os == "linux" {
		add("fanfare.service", filepath.Join(s.dir, "deploy", "systemd", "fanfare.service"), false)
	}
	for name, content := range s.completions {
		files = append(files, file{top + "/completions/" + name, content, false})
	}
	return files, err
}

// writeChecksums writes what sha256sum --check reads.
func writeChecksums(out string, names []string) error {
	slices.Sort(names)
	return writeFile(filepath.Join(out, "SHA256SUMS"), func(w io.Writer) error {
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(out, name)) //nolint:gosec // just written
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(content), name); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path) //nolint:gosec // where the caller said
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// run runs a command, and gives what it prints. What it complains of is in the error.
func run(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // all of them are here
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, complaint.String())
	}
	return printed, nil
}
