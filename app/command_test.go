package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommand(t *testing.T) {
	file := writeConfig(t, "server: {address: '127.0.0.1:1001'}\nlog: {level: warn}")
	wrongFile := writeConfig(t, "server: {host: x, drain_delay: -1s}")

	tests := map[string]struct {
		args    []string
		environ []string
		fails   error // what serving returns

		status int
		served bool
		config func(*Config) // what differs from the defaults, if served
		stdout string        // what it contains; empty: nothing is written
		stderr string
	}{
		"no command serves": {
			served: true,
		},
		"serve": {
			args:   []string{"serve"},
			served: true,
		},
		"flags": {
			args:   []string{"--config", file, "--address", "localhost:0"},
			served: true,
			config: func(cfg *Config) { cfg.Server.Address = "localhost:0"; cfg.Log.Level = "warn" },
		},
		"flags of serve": {
			args:   []string{"serve", "--config=" + file, "--address=localhost:0"},
			served: true,
			config: func(cfg *Config) { cfg.Server.Address = "localhost:0"; cfg.Log.Level = "warn" },
		},
		"flags before serve": {
			args:   []string{"--address", "localhost:0", "serve"},
			served: true,
			config: func(cfg *Config) { cfg.Server.Address = "localhost:0" },
		},
		"environment": {
			args:    []string{"--config", file},
			environ: []string{"FANFARE_SERVER_ADDRESS=127.0.0.1:1002"},
			served:  true,
			config:  func(cfg *Config) { cfg.Server.Address = "127.0.0.1:1002"; cfg.Log.Level = "warn" },
		},
		"flag over environment": {
			args:    []string{"--address", "127.0.0.1:1003"},
			environ: []string{"FANFARE_SERVER_ADDRESS=127.0.0.1:1002"},
			served:  true,
			config:  func(cfg *Config) { cfg.Server.Address = "127.0.0.1:1003" },
		},
		"serving fails": {
			fails:  errors.New("the address is in use"),
			served: true,
			status: 1,
			stderr: "fanfare: the address is in use\n",
		},
		"address that others can reach": {
			args:   []string{"--address", "0.0.0.0:8080"},
			status: 1,
			stderr: "Or listen on loopback, --address 127.0.0.1:8080, ",
		},
		"empty address": {
			args:   []string{"--address", ""},
			status: 1,
			stderr: `server.address: "": want HOST:PORT`,
		},
		"no such file": {
			args:   []string{"--config", "nowhere.yaml"},
			status: 1,
			stderr: "nowhere.yaml: no such file",
		},
		"mistakes in the file": {
			args:   []string{"--config", wrongFile},
			status: 1,
			stderr: "server.host: unknown key in " + wrongFile + "\nserver.drain_delay: \"-1s\": want 0s or more\n",
		},
		"empty file name": {
			args:   []string{"--config", ""},
			status: 2,
			stderr: "fanfare: --config needs the name of a file\n",
		},
		"unknown flag": {
			args:   []string{"--host", "x"},
			status: 2,
			stderr: "fanfare: unknown flag: --host\nRun 'fanfare --help' for usage.\n",
		},
		"unknown flag of serve": {
			args:   []string{"serve", "-x"},
			status: 2,
			stderr: "fanfare: unknown shorthand flag: 'x' in -x\n",
		},
		"flag without a value": {
			args:   []string{"--address"},
			status: 2,
			stderr: "fanfare: flag needs an argument: --address\n",
		},
		"unknown command": {
			args:   []string{"start"},
			status: 2,
			stderr: "fanfare: unknown command \"start\" for \"fanfare\"\n",
		},
		"argument": {
			args:   []string{"serve", "now"},
			status: 2,
			stderr: "fanfare: unknown command \"now\" for \"fanfare serve\"\n",
		},
		"version": {
			args:   []string{"version"},
			stdout: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n",
		},
		"version as JSON": {
			args:   []string{"version", "--json"},
			stdout: `"go":"` + runtime.Version() + `","platform":"` + runtime.GOOS + "/" + runtime.GOARCH + "\"}\n",
		},
		"version flag": {
			args:   []string{"--version"},
			stdout: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n",
		},
		"version with an argument": {
			args:   []string{"version", "now"},
			status: 2,
			stderr: "unknown command",
		},
		"commands below another": {
			args:   []string{"token"},
			stdout: "  fanfare token [command]\n\nAvailable Commands:\n  inspect ",
		},
		"unknown command below another": {
			args:   []string{"key", "has"},
			status: 2,
			stderr: "fanfare: unknown command \"has\" for \"fanfare key\"\n",
		},
		"help": {
			args:   []string{"--help"},
			stdout: "--address HOST:PORT",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			var served []Config
			c := command{
				environ: tt.environ,
				stdout:  &stdout,
				stderr:  &stderr,
				serve: func(_ context.Context, s start) error {
					served = append(served, s.config)
					return tt.fails
				},
			}
			if status := c.run(tt.args); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			wantOutput(t, "stdout", stdout.String(), tt.stdout)
			wantOutput(t, "stderr", stderr.String(), tt.stderr)

			if !tt.served {
				if len(served) != 0 {
					t.Errorf("it served")
				}
				return
			}
			want := DefaultConfig()
			if tt.config != nil {
				tt.config(&want)
			}
			if diff := cmp.Diff([]Config{want}, served); diff != "" {
				t.Errorf("served (-want +got):\n%s", diff)
			}
		})
	}
}

func wantOutput(t *testing.T, name, got, want string) {
	t.Helper()
	if want == "" && got != "" {
		t.Errorf("%s: %q, want nothing", name, got)
	}
	if strings.Count(got, want) != 1 && want != "" {
		t.Errorf("%s: %q\nwant, once: %q", name, got, want)
	}
}

func TestCommandLogsToStderr(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := command{
		environ: []string{"FANFARE_LOG_FORMAT=json"},
		stdout:  &stdout,
		stderr:  &stderr,
		serve: func(_ context.Context, s start) error {
			s.logger.Info("listening")
			return nil
		},
	}
	c.run(nil)
	wantOutput(t, "stdout", stdout.String(), "")
	wantOutput(t, "stderr", stderr.String(), `"msg":"listening"`)
}

// TestSignals sends signals to a process of its own: this test binary, which then runs TestServing.
func TestSignals(t *testing.T) {
	tests := map[string]struct {
		mode    string
		signals []os.Signal
		want    string // how the process ended
	}{
		"SIGINT stops":             {mode: "orderly", signals: []os.Signal{os.Interrupt}, want: "exit status 0"},
		"SIGTERM stops":            {mode: "orderly", signals: []os.Signal{syscall.SIGTERM}, want: "exit status 0"},
		"a second one kills":       {mode: "stuck", signals: []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, want: "signal: terminated"},
		"so does the other signal": {mode: "stuck", signals: []os.Signal{syscall.SIGTERM, os.Interrupt}, want: "signal: interrupt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			process := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestServing$") //nolint:gosec // itself
			process.Env = append(os.Environ(), "TEST_SERVING="+tt.mode)
			stderr, err := process.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}

			// It says "serving", and "stopping" after the first signal.
			lines := bufio.NewScanner(stderr)
			for _, s := range tt.signals {
				if !lines.Scan() {
					t.Fatalf("the process ended before %v", s)
				}
				if err := process.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			for lines.Scan() {
			}
			_ = process.Wait()
			if got := process.ProcessState.String(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestServing is the process that TestSignals sends signals to.
func TestServing(*testing.T) {
	mode := os.Getenv("TEST_SERVING")
	if mode == "" {
		return // an ordinary run of all tests
	}
	c := command{
		stdout: os.Stdout,
		stderr: os.Stderr,
		serve: func(ctx context.Context, _ start) error {
			fmt.Fprintln(os.Stderr, "serving")
			<-ctx.Done()
			fmt.Fprintln(os.Stderr, "stopping")
			if mode == "stuck" {
				time.Sleep(time.Minute)
			}
			return nil
		},
	}
	os.Exit(c.run(nil))
}
