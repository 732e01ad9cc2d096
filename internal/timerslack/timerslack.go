// Package timerslack allows late timers in programs that we start, where that saves processor time.
//
// While a program written in Go is busy, a thread of its runtime wakes up every 20 µs to watch the others. Several such
// programs work on each execution, on few processors: together they woke up a thousand times for one, and disturbed
// each other and the execution. The kernel delays a wake-up by up to the slack of the thread, see
// PR_SET_TIMERSLACK(2const). With a millisecond of slack, wake-ups are few, and two busy processors run a sixth more
// executions.
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
	// Slack is the slack of the programs that Start starts.
	Slack = time.Millisecond
	// usual is the default of the kernel.
	usual = 50 * time.Microsecond
)

// Start is command.Start for a program whose timers may be late by Slack. Its children inherit that, unless Reset. It
// changes nothing for this process and for other programs that it starts.
func Start(command *exec.Cmd) error {
	// A process inherits the slack of the thread that makes it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Slack), 0, 0, 0); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // 0 restores what the thread began with
	return command.Start()
}

// Reset gives the first thread of a process, and so its future threads and children, the usual slack. It needs
// CAP_SYS_NICE.
func Reset(pid uint32) error {
	path := fmt.Sprintf("/proc/%d/timerslack_ns", pid)
	if err := os.WriteFile(path, strconv.AppendInt(nil, int64(usual), 10), 0); err != nil {
		return fmt.Errorf("reset timer slack: %w", err)
	}
	return nil
}
