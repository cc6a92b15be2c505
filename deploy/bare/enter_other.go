//go:build !linux

package bare

import (
	"os/exec"
	"path/filepath"
)

// enter has a process run from below the root; beside it there is all that the machine has.
func (r Root) enter(cmd *exec.Cmd, _ int) {
	cmd.Path = filepath.Join(r.Dir, cmd.Path)
	cmd.Dir = filepath.Join(r.Dir, cmd.Dir)
	cmd.Err = nil
}
