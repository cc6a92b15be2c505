package natsengine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker/enginetest"
)

// TestBrokenDisk: the files of the log cannot be written to any more. Publishers are told, others read on, and when
// the disk is well again, so is the log.
func TestBrokenDisk(t *testing.T) {
	options := embedded(t, t.TempDir(), enginetest.Generous())
	options.PublishWait = 500 * time.Millisecond
	options.Logger = quiet()
	r := startRig(t, options, roomy)
	defer r.stop()
	first := r.mustPublish("1")

	// Root may write anywhere, but no one to a directory.
	obstacle := filepath.Join(options.StoreDir, "fanfare.json.new")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	makeUnwritable(t, options.StoreDir)
	if _, err := r.publish("2"); err == nil {
		t.Fatal("it can still be written to")
	}
	await(t, func() bool { return r.refuses("the log cannot be written to") })
	if diff := cmp.Diff([]string{"1"}, r.history()); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}

	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return r.Ready(t.Context()) == nil })
	last := r.mustPublish("3")
	if diff := cmp.Diff([]string{"1", "3"}, r.history()); diff != "" || last.Epoch != first.Epoch {
		t.Errorf("%v, then %v, the history (-want +got):\n%s", first, last, diff)
	}
	r.awaitDelivery("1", "3")
}

// makeUnwritable has the open files of a log open for reading only.
func makeUnwritable(t *testing.T, dir string) {
	t.Helper()
	const descriptors = "/proc/self/fd"
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, entry := range entries {
		name, err := os.Readlink(filepath.Join(descriptors, entry.Name()))
		if err != nil || !strings.HasPrefix(name, dir) || !strings.HasSuffix(name, ".blk") {
			continue
		}
		if err := reopen(entry.Name(), name); err != nil {
			t.Fatal(err)
		}
		found = true
	}
	if !found {
		t.Fatal("no file of the log is open")
	}
}

// reopen opens a file for reading in place of what a descriptor is.
func reopen(descriptor, name string) error {
	number, err := strconv.Atoi(descriptor)
	if err != nil {
		return err
	}
	readable, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Dup3(readable, number, syscall.O_CLOEXEC), syscall.Close(readable))
}
