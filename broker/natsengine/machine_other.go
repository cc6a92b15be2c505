//go:build !linux && !darwin

package natsengine

import (
	"math"
	"os"
)

// lockFile opens a file. Nothing keeps other processes from it here.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// free does not know here how much is free.
func free(string) (uint64, error) { return math.MaxUint64, nil }
