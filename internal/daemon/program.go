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
	// name is also the name of the process.
	name string
	// home is the working directory. No other daemon has the same.
	home string
	// logPath is the file for the output.
	logPath string
	// command returns the command. The supervisor sets its Dir, its output and its process group.
	command func() *exec.Cmd
	// launcher starts the command.
	launcher func(*exec.Cmd) error
	// ready returns nil when the daemon serves. errPermanent ends the wait.
	ready func(context.Context) error
	// stopSignal asks for an orderly end.
	stopSignal syscall.Signal
}

// pollInterval is the pause between two looks at a daemon where the kernel has no event to wait for.
const pollInterval = 50 * time.Millisecond

// end ends every process of the program: with stopSignal, and with SIGKILL when stopGrace or ctx is over. It returns
// when none is left.
func (p program) end(ctx context.Context, log *slog.Logger) error {
	found, err := p.processes()
	if err != nil || len(found) == 0 {
		return err
	}
	log.Debug("end daemon", "daemon", p.name, "pids", found)
	for _, pid := range p.parents(found) {
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

// processes lists the processes of this program.
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

// owns reports whether a process has the program's name and home folder. A zombie has no folder. The folders are
// compared by identity, since a path may mean something else in a container.
func (p program) owns(pid int, home os.FileInfo) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	name, err := os.ReadFile(filepath.Join(proc, "comm"))
	if err != nil || strings.TrimSpace(string(name)) != p.name {
		return false
	}
	cwd, err := os.Stat(filepath.Join(proc, "cwd"))
	return err == nil && os.SameFile(cwd, home)
}

// parents leaves out the processes whose parent is in the list: PostgreSQL ends its workers itself.
func (p program) parents(pids []int) []int {
	known := make(map[int]bool, len(pids))
	for _, pid := range pids {
		known[pid] = true
	}
	var found []int
	for _, pid := range pids {
		if !known[parentOf(pid)] {
			found = append(found, pid)
		}
	}
	return found
}

func parentOf(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// "pid (name) state ppid …"; the name may contain any characters.
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

// signal opens the process before it checks the owner, so that the pid cannot be reused in between. A process that is
// gone needs no signal.
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
