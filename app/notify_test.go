//go:build unix

package app_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestNotify: systemd is told when the server is ready and when it stops; where it cannot be told, the server runs all the same.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close() //nolint:errcheck // it was only read
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	told := func() string {
		state := make([]byte, 100)
		n, err := socket.Read(state)
		if err != nil {
			t.Fatal(err)
		}
		return string(state[:n])
	}
	s := startProcess(t, "NOTIFY_SOCKET="+path)
	if state := told(); state != "READY=1" {
		t.Errorf("at the start: %q", state)
	}
	s.stop()
	if state := told(); state != "STOPPING=1" {
		t.Errorf("at the end: %q", state)
	}
	if err := <-s.stopped; err != nil {
		t.Error(err)
	}

	alone := startProcess(t, "NOTIFY_SOCKET="+path+"-elsewhere")
	alone.publish("a", "1", "application/json")
	alone.stop()
	if err := <-alone.stopped; err != nil {
		t.Error(err)
	}
	if n := len(alone.log.having("systemd_not_told")); n != 1 {
		t.Errorf("%d lines of the end", n)
	}
}
