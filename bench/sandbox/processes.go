package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"attune/bench/measure"
)

// sandboxAccount is the account of all that the shim starts; but for the action's part it is the sandboxes' own start.
const sandboxAccount = "_start"

// processorTime is what the service has used so far, by who used it: the suffixes of splitOrder.
func (s *service) processorTime() (map[string]time.Duration, error) {
	used := make(map[string]time.Duration)
	for suffix, program := range map[string]string{
		"_containerd": "containerd", "_postgres": "postgres", "_s3": "minio", sandboxAccount: "attune-shim",
	} {
		pid, err := s.child(program)
		if err != nil {
			return nil, err
		}
		if used[suffix], err = measure.TreeTime(pid); err != nil {
			return nil, err
		}
		if suffix != sandboxAccount {
			continue
		}
		if used["_shim"], err = measure.ProcessTime(pid); err != nil {
			return nil, err
		}
		used[sandboxAccount] -= used["_shim"]
	}
	var err error
	used["_attune"], err = measure.ProcessTime(s.process.Process.Pid)
	return used, err
}

// child is the process that runs a program for the service.
func (s *service) child(program string) (int, error) {
	children, err := measure.Children(s.process.Process.Pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range children {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return 0, err
		}
		if name, _, _ := strings.Cut(string(text), "\x00"); filepath.Base(name) == program {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("attune up runs no %s", program)
}

// stillTime is how long no sandbox is made or removed where the service is at rest: more than making one takes.
const stillTime = 500 * time.Millisecond

// rest waits until the pool is full, and no sandbox is being made or removed.
func (b *bench) rest(ctx context.Context) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	shim, err := b.own.child("attune-shim")
	if err != nil {
		return err
	}
	var before []int
	for since := time.Now(); time.Since(since) < stillTime; {
		sandboxes, err := measure.Children(shim)
		if err != nil {
			return err
		}
		if !slices.Equal(before, sandboxes) {
			before, since = sandboxes, time.Now()
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// rss is the resident memory of the service's own process, in bytes.
func (s *service) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("the process has no VmRSS")
}
