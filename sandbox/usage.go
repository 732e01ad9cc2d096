package sandbox

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

	"attune"
)

// account notes what the sandbox took, while its group is there. An end is worth more than its figures: where they cannot
// be read, it goes without.
func (s *sandbox) account(exit *Exit) {
	path := s.cgroupPath(s.spec.ID)
	usage, err := s.groups.usage(path)
	refused, pidsErr := s.groups.pidsRefused(path)
	if err := errors.Join(err, pidsErr); err != nil {
		s.log.Warn("usage not known", "sandbox", s.spec.ID, "error", err)
		return
	}
	usage.Isolation = s.level
	exit.Usage, exit.OutOfPids = &usage, refused > 0
}

// usage is what a group has taken so far. It can be read as long as the group is there, with or without processes.
func (c cgroups) usage(path string) (attune.Usage, error) {
	read := counters{c, path, nil}
	if c.v2 {
		return attune.Usage{
			CPUSeconds:       seconds(read.number("cpu", "cpu.stat", "usage_usec"), 1e6),
			ThrottledSeconds: seconds(read.number("cpu", "cpu.stat", "throttled_usec"), 1e6),
			PeakMemoryBytes:  read.number("memory", "memory.peak", ""), // Linux 5.19 or newer
		}, read.err
	}
	return attune.Usage{
		CPUSeconds:       seconds(read.number("cpuacct", "cpuacct.usage", ""), 1e9),
		ThrottledSeconds: seconds(read.number("cpu", "cpu.stat", "throttled_time"), 1e9),
		PeakMemoryBytes:  read.number("memory", "memory.max_usage_in_bytes", ""),
	}, read.err
}

// pidsRefused is how often a group was refused another process because it had as many as it may. Both versions count it
// in the same words.
func (c cgroups) pidsRefused(path string) (int64, error) {
	read := counters{c, path, nil}
	n := read.number("pids", "pids.events", "max")
	return n, read.err
}

func seconds(count int64, unit float64) float64 { return float64(count) / unit }

// counters reads what the kernel counts of one group, until it meets an error.
type counters struct {
	cgroups cgroups
	path    string
	err     error
}

// number is a counter: the whole file, or behind a word at the beginning of a line. One that this kernel does not keep
// is 0.
func (r *counters) number(controller, file, word string) int64 {
	if r.err != nil {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(r.cgroups.folder(controller), r.path, file))
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

// folder is where a controller keeps its groups.
func (c cgroups) folder(controller string) string {
	if c.v2 {
		return c.mount
	}
	return filepath.Join(c.mount, controller)
}
