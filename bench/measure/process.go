package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of the times in /proc/<pid>/stat on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// ProcessTime is the processor time that a process has used, exact to the nanosecond: that of all its threads, also of
// those that have ended. A process that has ended itself has used none.
func ProcessTime(pid int) (time.Duration, error) {
	// This is how clock_getcpuclockid names the clock of a process.
	clock := int32(^pid<<3 | 2)
	var used unix.Timespec
	err := unix.ClockGettime(clock, &used)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// TreeTime is the processor time of a process and of all processes below it. What those that have ended used is known
// to their parent, in clock ticks.
func TreeTime(pid int) (time.Duration, error) {
	own, ownErr := ProcessTime(pid)
	ended, endedErr := endedChildren(pid)
	children, err := Children(pid)
	if err := errors.Join(ownErr, endedErr, err); err != nil {
		return 0, err
	}
	total := own + ended
	for _, child := range children {
		used, err := TreeTime(child)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// Children are the processes that a process, any of its threads, has started and that have not ended.
func Children(pid int) ([]int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if gone(err) {
			continue // The thread has just ended.
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			children = append(children, child)
		}
	}
	return children, nil
}

// endedChildren reads the fields cutime and cstime.
func endedChildren(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if gone(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// "pid (name) state parent …", and the name may hold anything; cutime and cstime are fields 16 and 17, state is 3.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 15 {
		return 0, fmt.Errorf("read processor time of process %d: %d fields", pid, len(fields))
	}
	user, userErr := strconv.ParseInt(fields[13], 10, 64)
	system, systemErr := strconv.ParseInt(fields[14], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(userErr, systemErr)
}

// gone reports whether a file of a process could not be read because the process has ended.
func gone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }
