package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard runs the inner process, cleans up after it, and returns its exit status.
func guard(command []string) (status int, err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become the parent of orphans: %w", err)
	}
	// Short, because sockets are made below it.
	dir, err := os.MkdirTemp("/tmp", "attune-test-")
	if err != nil {
		return 0, err
	}
	// The mount namespace goes with its last process, so this removes nothing that was mounted in the folder.
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil { // other users pass through to their files
		return 0, err
	}
	groups, err := controlGroups()
	if err != nil {
		return 0, err
	}
	if status, err = runInner(dir, command); err != nil {
		return status, err
	}

	leaked := endOrphans()
	left, err := removeControlGroups(groups)
	for _, group := range left {
		leaked = append(leaked, "control group "+group)
	}
	for _, leak := range leaked {
		say("left behind: %s", leak)
	}
	if len(leaked) > 0 && status == 0 {
		status = exitFailed
	}
	return status, err
}

// runInner starts the inner process in a new mount namespace, passes signals on, and returns when it has ended.
func runInner(dir string, command []string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	inner, err := os.StartProcess(self, append([]string{os.Args[0]}, command...), &os.ProcAttr{
		Env:   append(os.Environ(), innerFolder+"="+dir),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM},
	})
	if err != nil {
		return 0, fmt.Errorf("start in a mount namespace: %w", err)
	}
	status := make(chan int)
	go func() { status <- reapUntil(inner.Pid) }()
	for {
		select {
		case s := <-signals:
			_ = inner.Signal(s)
		case code := <-status:
			return code, nil
		}
	}
}

// reapUntil waits for every child that ends, orphans included, until the given one has ended.
func reapUntil(pid int) int {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return exitFailed
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal())
		case ended == pid:
			return status.ExitStatus()
		}
	}
}

const (
	settleTime = 5 * time.Second // for processes that are ending
	pollPause  = 50 * time.Millisecond
)

// endOrphans waits a little for the processes below us to end, kills those that do not, and describes them.
func endOrphans() []string {
	settled := time.Now().Add(settleTime)
	for time.Now().Before(settled) && len(descendants()) > 0 {
		reapAvailable()
		time.Sleep(pollPause)
	}
	known := make(map[int]bool)
	var leaked []string
	for left := descendants(); len(left) > 0; left = descendants() {
		for _, pid := range left {
			if !known[pid] {
				known[pid] = true
				leaked = append(leaked, describe(pid))
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(pollPause)
		reapAvailable()
	}
	return leaked
}

func reapAvailable() {
	for {
		if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
			return
		}
	}
}

func describe(pid int) string {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d: %s", pid, strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " ")))
}

// descendants lists the processes below us that still run.
func descendants() []int {
	children := make(map[int][]int)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// "pid (name) state parent …", and the name may contain any characters.
		var pid, parent int
		var state string
		rest := string(text[strings.LastIndexByte(string(text), ')')+1:])
		_, pidErr := fmt.Sscan(string(text), &pid)
		_, restErr := fmt.Sscan(rest, &state, &parent)
		if pidErr == nil && restErr == nil && state != "Z" {
			children[parent] = append(children[parent], pid)
		}
	}
	var found []int
	for next := children[os.Getpid()]; len(next) > 0; {
		pid := next[0]
		found = append(found, pid)
		next = append(next[1:], children[pid]...)
	}
	return found
}
