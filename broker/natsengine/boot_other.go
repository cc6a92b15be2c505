//go:build !linux

package natsengine

// bootID is not known here, so every stop that was not in order may have been one of the machine.
func bootID() string { return "" }
