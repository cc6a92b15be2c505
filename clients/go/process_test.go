package fanfare_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fanfare/app"
)

// patience bounds what a test waits for; it only runs out when something is broken.
const patience = time.Minute

// asProcess in the environment makes the test binary the fanfare command.
const asProcess = "TEST_RUN_AS_FANFARE"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		os.Exit(app.Main())
	}
	goleak.VerifyTestMain(m,
		// fasthttp's own, of the servers in this process, which end later or never.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// process is a server in a process of its own.
type process struct {
	address string
	stop    func()
}

// startProcess starts a server, which ends with the test if it is not stopped before.
func startProcess(t *testing.T, dir string, environ []string) *process {
	t.Helper()
	command := exec.Command(os.Args[0], "--address", "127.0.0.1:0") //nolint:gosec // itself
	command.Env = append(append(os.Environ(), asProcess+"=1", "FANFARE_LOG_FORMAT=json"), environ...)
	command.Dir = dir
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{}
	var reading sync.WaitGroup
	p.stop = sync.OnceFunc(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		if err := command.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	t.Cleanup(p.stop)

	lines := bufio.NewScanner(stderr)
	for p.address == "" {
		var line struct {
			Msg     string `json:"msg"`
			Address string `json:"address"`
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil {
			t.Fatalf("the server did not start: %s", lines.Text())
		}
		if line.Msg == "listening" {
			p.address = line.Address
		}
	}
	reading.Go(func() {
		for lines.Scan() {
			t.Log(lines.Text())
		}
	})
	return p
}
