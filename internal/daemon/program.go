package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// program is one daemon: how it is started, recognized and ended.
type program struct {
	// name is the daemon's and its process's.
	name string
	// home is the working directory, which no other daemon uses.
	home string
	// logPath is the file for the daemon's output.
	logPath string
	// command makes the command to run. The supervisor fills in Dir, output and process group.
	command func() *exec.Cmd
	// launcher starts the command.
	launcher func(*exec.Cmd) error
	// ready is nil when the daemon serves. A permanent error ends the wait.
	ready func(context.Context) error
	// stopSignal asks for an orderly end.
	stopSignal syscall.Signal
}

// pollInterval is how often the state of a daemon is looked at where the kernel offers nothing to wait for.
const pollInterval = 50 * time.Millisecond

// evict ends every process of the program: by request, and by force after stopGrace or when ctx ends. It returns when
// none of them is left.
func (p program) evict(ctx context.Context, log *slog.Logger) error {
	found, err := p.processes()
	if err != nil || len(found) == 0 {
		return err
	}
	log.Debug("end daemon", "daemon", p.name, "pids", found)
	for _, pid := range p.heads(found) {
		p.signal(pid, p.stopSignal)
	}
	asked, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if p.awaitGone(asked) == nil {
		return nil
	}

	log.Warn("daemon does not end by itself; kill it", "daemon", p.name)
	if found, err = p.processes(); err != nil {
		return err
	}
	for _, pid := range found {
		p.signal(pid, syscall.SIGKILL)
	}
	forced, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return p.awaitGone(forced)
}

func (p program) awaitGone(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		found, err := p.processes()
		if err != nil || len(found) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s %v to end: %w", p.name, found, ctx.Err())
		case <-tick.C:
		}
	}
}

// processes lists the processes that are this program's.
func (p program) processes() ([]int, error) {
	home, err := os.Stat(p.home)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", p.name, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", p.name, err)
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && p.owns(pid, home) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// owns reports whether a process runs in the home folder under the program's name. A zombie has no folder any more. The
// folders are compared by identity, since a path may mean something else in a container.
func (p program) owns(pid int, home os.FileInfo) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	name, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || strings.TrimSpace(string(name)) != p.name {
		return false
	}
	cwd, err := os.Stat(filepath.Join(proc, "cwd"))
	return err == nil && os.SameFile(cwd, home)
}

// heads leaves out the processes whose parent is among the others: PostgreSQL ends its workers itself.
func (p program) heads(pids []int) []int {
	known := make(map[int]bool, len(pids))
	for _, pid := range pids {
		known[pid] = true
	}
	var heads []int
	for _, pid := range pids {
		if !known[parentOf(pid)] {
			heads = append(heads, pid)
		}
	}
	return heads
}

func parentOf(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// "pid (name) state ppid …", and the name may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

// signal opens the process before it checks that it is the program's, so that the id cannot be reused in between. A
// process that is gone needs no signal.
func (p program) signal(pid int, sig syscall.Signal) {
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = process.Release() }()
	home, err := os.Stat(p.home)
	if err == nil && p.owns(pid, home) {
		_ = process.Signal(sig)
	}
}
