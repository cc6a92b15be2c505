package bare

import (
	"os"
	"os/exec"
	"syscall"
)

// enter has a process run below the root, as its user. Whoever is not root may do that in a user namespace, where he is that
// user.
func (r Root) enter(cmd *exec.Cmd, uid int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Dir, Pdeathsig: syscall.SIGKILL}
	if uid == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.User), Gid: uint32(r.User)} //nolint:gosec // small
		return
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: r.User, HostID: uid, Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: r.User, HostID: os.Getgid(), Size: 1}}
}
