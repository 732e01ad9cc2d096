package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"attune/sandbox"
)

// assignment is what a later process needs to go on with a run. It is in the run directory before the document is
// delivered, and holds nothing of the document.
type assignment struct {
	Sandbox   string    `json:"sandbox"`
	Execution string    `json:"execution"`
	StartedAt time.Time `json:"started_at"`
}

// assignments has a record of each execution that was given a sandbox. A record is a link to the assignment in the run
// directory. It is made before the document is delivered, and outlives the sandbox until the execution is forgotten. So
// an execution without a record has not begun.
//
// That is certain only within one boot of the host: what a process wrote survives its own death, but not always that of
// the kernel. The file boot names the last boot in which every execution of an earlier boot was settled. Until it names
// this boot, a missing record proves nothing.
type assignments struct {
	dir, bootFile, boot string
	// proven: bootFile names this boot.
	proven atomic.Bool

	mu sync.Mutex
	// unasked has the executions of earlier processes for which find was not called.
	unasked map[string]bool
}

// currentBoot is the kernel's name for this boot of the host.
func currentBoot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the host's boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// openAssignments opens the records of the owner.
func openAssignments(config *Config, boot string) (*assignments, error) {
	a := &assignments{
		dir: config.executionsDir(), bootFile: filepath.Join(config.StateDir, "boot"), boot: boot,
		unasked: make(map[string]bool),
	}
	records, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, fmt.Errorf("look for assignments: %w", err)
	}
	for _, record := range records {
		a.unasked[record.Name()] = true
	}
	last, err := os.ReadFile(a.bootFile)
	if ignoreNotExist(err) != nil {
		return nil, fmt.Errorf("read the boot of the last process: %w", err)
	}
	a.proven.Store(string(last) == boot)
	return a, nil
}

func (a *assignments) path(execution string) string { return filepath.Join(a.dir, execution) }

// add makes the record of an execution, from the assignment in a file. It fails where there is one, so no execution is
// given two sandboxes.
func (a *assignments) add(execution, file string) error {
	if err := os.Link(file, a.path(execution)); err != nil {
		return fmt.Errorf("assign sandbox to execution: %w", err)
	}
	return nil
}

// read returns the record of an execution. The error is ErrGone where there is none, or it is not whole.
func (a *assignments) read(execution string) (held assignment, err error) {
	return held, readJSON(a.path(execution), &held)
}

// find returns the sandbox that an execution was given. The error is ErrNotStarted where it was certainly given none.
// Where that is uncertain, it is ErrGone, and find makes an empty record so that later processes return ErrGone, too.
func (a *assignments) find(execution string) (id string, err error) {
	a.mu.Lock()
	delete(a.unasked, execution)
	a.mu.Unlock()
	if _, err := os.Lstat(a.path(execution)); errors.Is(err, fs.ErrNotExist) {
		if a.proven.Load() {
			return "", sandbox.ErrNotStarted
		}
		if err := os.WriteFile(a.path(execution), nil, 0o600); err != nil {
			return "", fmt.Errorf("record that a sandbox is gone: %w", err)
		}
	}
	held, err := a.read(execution)
	return held.Sandbox, err
}

// remove removes the record of an execution, if there is one.
func (a *assignments) remove(execution string) error {
	if err := ignoreNotExist(os.Remove(a.path(execution))); err != nil {
		return fmt.Errorf("remove assignment: %w", err)
	}
	return nil
}

// settle notes this boot. It is called after find was called for all executions of earlier processes whose outcomes are
// not stored yet. It removes the records of the others, which a process did not live to forget.
func (a *assignments) settle() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for execution := range a.unasked {
		if err := a.remove(execution); err != nil {
			return err
		}
		delete(a.unasked, execution)
	}
	if a.proven.Load() {
		return nil
	}
	next := a.bootFile + ".next"
	if err := os.WriteFile(next, []byte(a.boot), 0o600); err != nil {
		return fmt.Errorf("note the host's boot: %w", err)
	}
	if err := os.Rename(next, a.bootFile); err != nil {
		return fmt.Errorf("note the host's boot: %w", err)
	}
	a.proven.Store(true)
	return nil
}

// assign gives the sandbox to an execution.
func (s *container) assign(a assignment) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode assignment: %w", err)
	}
	if err := os.WriteFile(s.dir.assignment(), text, 0o600); err != nil {
		return fmt.Errorf("write assignment: %w", err)
	}
	return s.assignments.add(a.Execution, s.dir.assignment())
}
