package app_test

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"fanfare/app"
	"fanfare/broker/natsengine/natstest"
)

// asProcess in the environment makes the test binary the fanfare command.
const asProcess = "TEST_RUN_AS_FANFARE"

func TestMain(m *testing.M) {
	natstest.Serve()
	if os.Getenv(asProcess) != "" {
		os.Exit(app.Main())
	}
	goleak.VerifyTestMain(m,
		// fasthttp's own, which end later or never.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// startProcess runs a server in a process of its own. Its stop sends SIGTERM, its stopped
// has an error unless the exit status was 0.
func startProcess(t *testing.T, environ ...string) *server {
	t.Helper()
	return startAfter(t, ":", environ...)
}

// startAfter is startProcess with a shell command that is carried out first, in the same
// process.
func startAfter(t *testing.T, command string, environ ...string) *server {
	t.Helper()
	return startFor(t, patience, command, environ...)
}

// startFor is startAfter for a process that is killed after some time.
func startFor(t *testing.T, life time.Duration, command string, environ ...string) *server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), life)
	process := exec.CommandContext(ctx, "sh", "-c", command+` && exec "$0" "$@"`, os.Args[0], "--address", "127.0.0.1:0") //nolint:gosec // itself
	process.Env = append(os.Environ(), asProcess+"=1", "FANFARE_LOG_FORMAT=json")
	process.Env = append(process.Env, environ...)
	process.Dir = t.TempDir()
	stderr, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{
		t: t, pid: process.Process.Pid, client: http.DefaultClient,
		stop: func() { _ = process.Process.Signal(syscall.SIGTERM) },
	}
	stopped := make(chan error, 1)
	s.stopped = stopped
	lines := bufio.NewScanner(stderr)
	for s.address == "" {
		var line struct {
			Msg     string `json:"msg"`
			Address string `json:"address"`
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil {
			t.Fatalf("the server did not start: %s", lines.Text())
		}
		if line.Msg == "listening" {
			s.address = line.Address
		}
	}
	go func() {
		for lines.Scan() {
			t.Log(lines.Text())
			s.log.add(lines.Text())
		}
		stopped <- process.Wait()
		close(stopped)
	}()
	t.Cleanup(func() {
		cancel()
		for range stopped {
		}
	})
	return s
}
