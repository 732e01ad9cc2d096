package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"attune"
)

// Usage is what a group has taken so far. It can be read while the group exists, with or without processes.
func (h Hierarchy) Usage(path string) (attune.Usage, error) {
	read := counters{h, path, nil}
	if h.V2 {
		return attune.Usage{
			CPUSeconds:       seconds(int64(read.cpu()), 1e9),
			ThrottledSeconds: seconds(read.number("cpu", "cpu.stat", "throttled_usec"), 1e6),
			PeakMemoryBytes:  read.number("memory", "memory.peak", ""), // Linux 5.19 or newer
		}, read.err
	}
	return attune.Usage{
		CPUSeconds:       seconds(int64(read.cpu()), 1e9),
		ThrottledSeconds: seconds(read.number("cpu", "cpu.stat", "throttled_time"), 1e9),
		PeakMemoryBytes:  read.number("memory", "memory.max_usage_in_bytes", ""),
	}, read.err
}

// PidsRefused is how often a group was refused another process because of its limit. Both versions count it alike.
func (h Hierarchy) PidsRefused(path string) (int64, error) {
	read := counters{h, path, nil}
	n := read.number("pids", "pids.events", "max")
	return n, read.err
}

// Current is the memory that a group takes at this moment, in bytes, and the processor time that it has taken so far.
func (h Hierarchy) Current(path string) (memory int64, cpu time.Duration, err error) {
	file := "memory.usage_in_bytes"
	if h.V2 {
		file = "memory.current"
	}
	read := counters{h, path, nil}
	memory, cpu = read.number("memory", file, ""), read.cpu()
	return memory, cpu, read.err
}

// cpu is the processor time that the group has taken.
func (r *counters) cpu() time.Duration {
	if r.hierarchy.V2 {
		return time.Duration(r.number("cpu", "cpu.stat", "usage_usec")) * time.Microsecond
	}
	return time.Duration(r.number("cpuacct", "cpuacct.usage", ""))
}

func seconds(count int64, unit float64) float64 { return float64(count) / unit }

// counters reads counters of one group, until the first error.
type counters struct {
	hierarchy Hierarchy
	path      string
	err       error
}

// number is one counter: the whole file, or what follows a word at the beginning of a line. A counter that this kernel
// does not have is 0.
func (r *counters) number(controller, file, word string) int64 {
	if r.err != nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(r.hierarchy.folder(controller), r.path, file))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		r.err = fmt.Errorf("read %s: %w", file, err)
		return 0
	}
	value, found := string(bytes.TrimSpace(text)), word == ""
	for lines := bufio.NewScanner(bytes.NewReader(text)); !found && lines.Scan(); {
		value, found = strings.CutPrefix(lines.Text(), word+" ")
	}
	if !found {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		r.err = fmt.Errorf("read %s: %w", file, err)
	}
	return n
}

// folder is where the groups of a controller are.
func (h Hierarchy) folder(controller string) string {
	if h.V2 {
		return h.mount
	}
	return filepath.Join(h.mount, controller)
}
