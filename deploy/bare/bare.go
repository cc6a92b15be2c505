// Package bare runs the fanfare of an archive or an image in tests, where nothing else is: no libc, no /etc, no /proc, no /tmp.
package bare

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for what takes far less if all is well.
const patience = time.Minute

// Root is a directory that becomes the root of processes.
type Root struct {
	T   *testing.T
	Dir string
	// User is their user, and its group.
	User int
	// WorkDir is where they begin, below Dir, and Environ all of their environment.
	WorkDir string
	Environ []string
	// Command is the program, by its path below Dir, and its first arguments.
	Command []string
}

// Run runs the command with more arguments, and gives what it prints, and its error.
func (r Root) Run(args ...string) (stdout, stderr string, err error) {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.T.Context(), patience)
	defer cancel()
	cmd := r.command(ctx, args)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	return string(out), complaint.String(), err
}

// Print runs the command, and gives what it prints. It has to end well.
func (r Root) Print(args ...string) string {
	r.T.Helper()
	out, complaint, err := r.Run(args...)
	if err != nil {
		r.T.Fatalf("%v: %v\n%s", args, err, complaint)
	}
	return out
}

// Serve runs the command as a server until stop, which wants it to end well.
func (r Root) Serve(args ...string) (url string, stop func()) {
	r.T.Helper()
	r.Environ = append(r.Environ, "FANFARE_LOG_FORMAT=json")
	cmd := r.command(context.Background(), args)
	log, err := cmd.StderrPipe()
	if err != nil {
		r.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.T.Fatal(err)
	}
	killed := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(log)
	for url == "" && lines.Scan() {
		var line struct{ Msg, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			url = line.URL
		} else {
			r.T.Log(lines.Text())
		}
	}
	if url == "" {
		r.T.Fatalf("it does not listen: %v", cmd.Wait())
	}
	ended := make(chan error, 1)
	go func() {
		for lines.Scan() {
		}
		ended <- cmd.Wait()
	}()
	return url, func() {
		defer killed.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			r.T.Errorf("it ended with %v", err)
		}
	}
}

// Try serves, publishes and receives.
func (r Root) Try(args ...string) {
	r.T.Helper()
	url, stop := r.Serve(args...)
	defer stop()
	r.Print("pub", "news", "hello", "--url", url)
	if out := r.Print("sub", "news", "--last", "1", "--count", "1", "--url", url); !strings.Contains(out, `"data":"hello"`) {
		r.T.Errorf("received %s", out)
	}
}

// command is the process to be, with the environment of Root alone.
func (r Root) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.Command[0], append(r.Command[1:], args...)...) //nolint:gosec // it is for tests
	cmd.Dir = r.WorkDir
	cmd.Env = append([]string{}, r.Environ...)
	r.enter(cmd, os.Getuid())
	return cmd
}
