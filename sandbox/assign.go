package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// assignment is what a later process needs to go on with a run. It is in the sandbox's folder before the document is
// delivered, and has nothing of the document.
type assignment struct {
	Execution string    `json:"execution"`
	StartedAt time.Time `json:"started_at"`
}

// assign gives the sandbox to an execution. A link can be made once, so no execution is given two.
func (s *sandbox) assign(a assignment) error {
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode assignment: %w", err)
	}
	if err := os.WriteFile(s.files.assignment(), text, 0o600); err != nil {
		return fmt.Errorf("write assignment: %w", err)
	}
	if err := os.Symlink(s.files.dir, s.config.link(a.Execution)); err != nil {
		return fmt.Errorf("assign sandbox to execution: %w", err)
	}
	return nil
}

// link leads from an execution to the folder of its sandbox.
func (c *Config) link(execution string) string { return filepath.Join(c.executionsDir(), execution) }

// dismiss takes a sandbox from the execution that it was given to.
func (c *Containerd) dismiss(id string) error {
	text, err := os.ReadFile(runFiles{c.runDir(id)}.assignment())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read assignment: %w", err)
	}
	var a assignment
	if err := json.Unmarshal(text, &a); err != nil {
		return nil //nolint:nilerr // The process died while it wrote, and made no link.
	}
	link := c.config.link(a.Execution)
	// An execution that was refused this sandbox may have another.
	if to, err := os.Readlink(link); err != nil || to != c.runDir(id) {
		return nil //nolint:nilerr // There is none.
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove assignment: %w", err)
	}
	return nil
}
