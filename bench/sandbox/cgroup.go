package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const cgroups = "/sys/fs/cgroup"

// groupMemory is what a control group takes, in bytes.
func groupMemory(path string) (float64, error) {
	text, err := os.ReadFile(filepath.Join(cgroups, path, "memory.current"))
	if errors.Is(err, os.ErrNotExist) { // version 1
		text, err = os.ReadFile(filepath.Join(cgroups, "memory", path, "memory.usage_in_bytes"))
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// groupProcessorTime is what the processes of a control group have used since it was made.
func groupProcessorTime(path string) (time.Duration, error) {
	unit := time.Microsecond
	text, err := os.ReadFile(filepath.Join(cgroups, path, "cpu.stat"))
	if errors.Is(err, os.ErrNotExist) { // version 1
		unit = time.Nanosecond
		text, err = os.ReadFile(filepath.Join(cgroups, "cpuacct", path, "cpuacct.usage"))
	}
	if err != nil {
		return 0, err
	}
	// Version 2 begins with "usage_usec 1234"; version 1 has the number alone.
	first, _, _ := strings.Cut(string(text), "\n")
	n, err := strconv.ParseInt(strings.TrimPrefix(first, "usage_usec "), 10, 64)
	return time.Duration(n) * unit, err
}
