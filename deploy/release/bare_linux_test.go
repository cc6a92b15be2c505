package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bare is a root directory that has nothing but an archive: no libc, no /etc, no /proc, no /tmp.
type bare struct {
	t    *testing.T
	root string
}

// command runs the archive's binary there. Whoever is not root may change the root directory in a user namespace.
func (b bare) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/fanfare", args...) //nolint:gosec // the archive's own
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: b.root, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	return cmd
}

func (b bare) run(args ...string) string {
	b.t.Helper()
	cmd := b.command(b.t.Context(), args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("%v: %v\n%s", args, err, complaint.String())
	}
	return string(out)
}

// runBare serves, publishes and receives with what an archive has, and nothing else: in memory, and with the log on the disk.
func runBare(t *testing.T, top string) {
	t.Helper()
	b := bare{t: t, root: top}
	if out := b.run("version"); !strings.HasPrefix(out, "fanfare v") || !strings.Contains(out, "\ncommit ") || strings.Contains(out, "with changes") {
		t.Errorf("version: %s", out)
	}
	b.run("config", "check", "--config", "/config.yaml")
	for _, engine := range []string{"FANFARE_ENGINE=memory", "FANFARE_ENGINE=nats"} {
		serving := b.command(context.Background(), "--address", "127.0.0.1:0", "--config", "/config.yaml")
		serving.Env = []string{engine, "FANFARE_LOG_FORMAT=json"}
		if engine == "FANFARE_ENGINE=nats" {
			serving.Env = append(serving.Env, "FANFARE_NATS_EMBEDDED=true")
		}
		log, err := serving.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := serving.Start(); err != nil {
			t.Fatal(err)
		}
		url := listening(t, log)
		b.run("pub", "news", "hello", "--url", url)
		if out := b.run("sub", "news", "--last", "1", "--count", "1", "--url", url); !strings.Contains(out, `"data":"hello"`) {
			t.Errorf("%s: received %s", engine, out)
		}
		if err := serving.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := serving.Wait(); err != nil {
			t.Errorf("%s: it ended with %v", engine, err)
		}
	}
}

// listening reads a log until it has the server's URL, and the rest of it in the background.
func listening(t *testing.T, log interface{ Read([]byte) (int, error) }) (url string) {
	t.Helper()
	lines := bufio.NewScanner(log)
	watch := time.AfterFunc(time.Minute, func() { panic("the server does not start") })
	defer watch.Stop()
	for lines.Scan() {
		var line struct{ Msg, URL string }
		if json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &line) == nil && line.Msg == "listening" {
			go func() {
				for lines.Scan() {
				}
			}()
			return line.URL
		}
		t.Log(lines.Text())
	}
	t.Fatal("the server did not start")
	return ""
}
