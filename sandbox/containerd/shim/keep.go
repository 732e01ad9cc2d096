//go:build cgo

package shim

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"attune/internal/timerslack"
)

// keep runs a command that leaves processes behind, as runsc does when it creates a container, and becomes their
// parent. It prints the id of the one that the command wrote to a file, and ends after all of them, with the exit
// status of that one. So nothing of a container is left when its keeper ends, and its exit status is known, however
// early it came.
//
// The command's stdin, stdout and stderr are the descriptors 3, 4 and 5. oomScore is that of all these processes:
// gVisor would leave them the shim's.
func keep(pidFile, oomScore string, command []string) (status int, err error) {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0); err != nil {
		return 0, fmt.Errorf("have the kernel kill the container before others: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become the parent of what the command leaves: %w", err)
	}
	// The shim's timers may be late. A process inherits that from the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := timerslack.Reset(uint32(unix.Gettid())); err != nil {
		return 0, err
	}
	run := exec.Command(command[0], command[1:]...)
	var pipes [3]*os.File
	for i := range pipes {
		unix.CloseOnExec(3 + i)
		pipes[i] = os.NewFile(uintptr(3+i), "pipe")
	}
	run.Stdin, run.Stdout, run.Stderr, run.Env = pipes[0], pipes[1], pipes[2], []string{}
	if err := run.Run(); err != nil {
		return 0, err
	}
	for _, pipe := range pipes {
		_ = pipe.Close() // the end of a pipe is the end of the container's processes
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", pidFile, err)
	}
	fmt.Fprintln(os.Stdout, pid)
	_ = os.Stdout.Close()
	return int(reapAll(pid)), nil
}

// reapAll waits for all children, and returns the exit status of one.
func reapAll(pid int) uint32 {
	status := uint32(unknownStatus)
	for {
		var wait unix.WaitStatus
		ended, err := unix.Wait4(-1, &wait, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return status // there is none left
		case ended == pid:
			status = exitStatus(syscall.WaitStatus(wait))
		}
	}
}
