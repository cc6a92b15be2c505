package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cores chooses two cores, for Pin, of those that this process may use; ok tells whether there are
// two.
func Cores() (server, load int, ok bool) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || set.Count() < 2 {
		return 0, 0, false
	}
	var cores []int
	for core := 0; len(cores) < 2; core++ {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores[1], cores[0], true
}

// Pin executes this program again, in its own place, on the given core: only so does GOMAXPROCS
// follow. It returns if that fails.
func Pin(core int, args []string) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	return onCore(core, func() error {
		return syscall.Exec(executable, args, os.Environ()) //nolint:gosec // itself
	})
}

// onCore starts a process on the given core, or anywhere if core is negative.
func onCore(core int, start func() error) error {
	if core < 0 {
		return start()
	}
	// A process inherits the affinity of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("cannot ask for the cores: %w", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("cannot pin to core %d: %w", core, err)
	}
	defer unix.SchedSetaffinity(0, &before) //nolint:errcheck // the thread had them before
	return start()
}

// yieldToOthers gives this process the lowest priority, as far as it can: each thread has one
// of its own, and those to come have that of the one that starts them.
func yieldToOthers() {
	const lowest = 19
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, lowest)
		}
	}
}
