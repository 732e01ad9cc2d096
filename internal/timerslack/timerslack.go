// Package timerslack starts programs whose timers may be late, which saves processor time.
//
// While a Go program is busy, a thread of its runtime wakes up every 20 µs to watch the others. Several such programs work
// on each execution; on few processors, their thousand wake-ups per execution disturb each other and the execution. The
// kernel may delay a sleep by the slack of the thread, see PR_SET_TIMERSLACK(2const). With a slack of one millisecond the
// wake-ups are few, and two busy processors run a sixth more executions.
package timerslack

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Slack is the timer slack of the programs that Start starts.
	Slack = time.Millisecond
	// usual is the kernel's default.
	usual = 50 * time.Microsecond
)

// Start is command.Start for a program whose timers may be late by Slack, and so may those of its children until Reset.
// The calling process and its other children keep their slack.
func Start(command *exec.Cmd) error {
	// A process inherits the slack of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Slack), 0, 0, 0); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // 0 restores the slack that the thread began with
	return command.Start()
}

// Reset gives the first thread of a process the default slack, which the threads and processes that it makes inherit. It
// needs CAP_SYS_NICE.
func Reset(pid uint32) error {
	path := fmt.Sprintf("/proc/%d/timerslack_ns", pid)
	if err := os.WriteFile(path, strconv.AppendInt(nil, int64(usual), 10), 0); err != nil {
		return fmt.Errorf("reset timer slack: %w", err)
	}
	return nil
}
