// Package timerslack lets the timers of programs that we start be late, where that saves the processor.
//
// While anything goes on in a program written in Go, a thread of its runtime wakes up every 20 µs to look after the others.
// Several such programs work on each execution, on few processors: together they woke up a thousand times for one, and disturbed
// each other and the execution. The kernel puts off a sleep by as much as the slack of a thread, see PR_SET_TIMERSLACK(2const),
// and a millisecond of it makes these few; a sixth more executions get through on two busy processors.
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
	// Slack is what is given to a program.
	Slack = time.Millisecond
	// usual is what the kernel gives to the first process, and so every other has that nobody has given another.
	usual = 50 * time.Microsecond
)

// Start is command.Start for a program whose timers may be late by Slack; so may those of what it starts, unless Reset. For us,
// and for what we start else, nothing changes.
func Start(command *exec.Cmd) error {
	// A process gets the slack of the thread that makes it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Slack), 0, 0, 0); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }() // 0 stands for what the thread began with
	return command.Start()
}

// Reset gives the first thread of a process, and with it all that it makes, the usual slack. It needs CAP_SYS_NICE.
func Reset(pid uint32) error {
	path := fmt.Sprintf("/proc/%d/timerslack_ns", pid)
	if err := os.WriteFile(path, strconv.AppendInt(nil, int64(usual), 10), 0); err != nil {
		return fmt.Errorf("reset timer slack: %w", err)
	}
	return nil
}
