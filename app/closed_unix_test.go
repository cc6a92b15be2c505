//go:build unix

package app

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestWhenClosed: a pipe that nobody reads any more is closed; a descriptor that the system cannot look at is not.
func TestWhenClosed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close() //nolint:errcheck // nothing was written
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	closed := false
	whenClosed(ctx, written, func() { closed = true })
	if !closed {
		t.Error("the pipe is not closed")
	}
	const none = 1 << 20 // more than a process may have
	whenClosed(ctx, os.NewFile(none, "none"), func() { t.Error("what cannot be looked at is closed") })
	if ctx.Err() != nil {
		t.Error("it looks for ever at what cannot be looked at")
	}
}
