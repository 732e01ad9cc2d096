package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU reads the processor time that this process and all processes of a PostgreSQL have used.
type CPU struct {
	// Postmaster is the id of PostgreSQL's first process, the parent of all others.
	Postmaster int
}

// clockTick is the unit of the times in /proc/<pid>/stat on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Used returns the sum since the processes began. What PostgreSQL's processes that live have used is exact to the
// nanosecond; those that have ended are known to their parent, in clock ticks.
// A nil CPU counts nothing.
func (c *CPU) Used() (time.Duration, error) {
	if c == nil {
		return 0, nil
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0, fmt.Errorf("read own processor time: %w", err)
	}
	total := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	ended, err := ofEndedChildren(c.Postmaster)
	if err != nil {
		return 0, err
	}
	total += ended
	children, err := childrenOf(c.Postmaster)
	if err != nil {
		return 0, err
	}
	for _, pid := range append(children, c.Postmaster) {
		used, err := ofProcess(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // It has just ended.
		}
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// ofProcess is exact for processes with one thread, as PostgreSQL's are.
func ofProcess(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, err
	}
	nanoseconds, _, _ := strings.Cut(string(text), " ")
	used, err := strconv.ParseInt(nanoseconds, 10, 64)
	return time.Duration(used), err
}

// ofEndedChildren reads the fields cutime and cstime.
func ofEndedChildren(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
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

func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var children []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}
