//go:build !linux

package bench

import "errors"

// Cores chooses no cores: processes are pinned on Linux only.
func Cores() (server, load int, ok bool) { return 0, 0, false }

// Pin fails: processes are pinned on Linux only.
func Pin(int, []string) error { return errors.New("processes are pinned on Linux only") }

// onCore starts a process anywhere.
func onCore(_ int, start func() error) error { return start() }

// yieldToOthers does nothing here.
func yieldToOthers() {}
