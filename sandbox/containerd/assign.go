package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"attune/sandbox"
)

// assignment is what a later process needs to go on with a run. It is in the sandbox's folder before the document is
// delivered, and has nothing of the document.
type assignment struct {
	Sandbox   string    `json:"sandbox"`
	Execution string    `json:"execution"`
	StartedAt time.Time `json:"started_at"`
}

// assign gives the sandbox to an execution. A link can be made once, so no execution is given two.
func (s *container) assign(a assignment) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode assignment: %w", err)
	}
	if err := os.WriteFile(s.files.assignment(), text, 0o600); err != nil {
		return fmt.Errorf("write assignment: %w", err)
	}
	if err := os.Link(s.files.assignment(), s.config.link(a.Execution)); err != nil {
		return fmt.Errorf("assign sandbox to execution: %w", err)
	}
	return nil
}

// link is the name that an execution's assignment has besides the one in the sandbox's folder.
func (c *Config) link(execution string) string { return filepath.Join(c.executionsDir(), execution) }

// assigned finds the sandbox that an execution was given; ErrGone says that it has none.
func (c *Runtime) assigned(execution string) (id string, err error) {
	var a assignment
	err = readJSON(c.config.link(execution), &a)
	return a.Sandbox, err
}

// dismiss takes a sandbox from the execution that it was given to.
func (c *Runtime) dismiss(id string) error {
	var a assignment
	err := readJSON(runFiles{c.runDir(id)}.assignment(), &a)
	if errors.Is(err, sandbox.ErrGone) {
		return nil // It has none, or the process died while it wrote, and made no link.
	}
	if err != nil {
		return err
	}
	// An execution that was refused this sandbox may have another.
	if holder, err := c.assigned(a.Execution); err != nil || holder != id {
		return nil //nolint:nilerr // There is none.
	}
	if err := ignoreNotExist(os.Remove(c.config.link(a.Execution))); err != nil {
		return fmt.Errorf("remove assignment: %w", err)
	}
	return nil
}
