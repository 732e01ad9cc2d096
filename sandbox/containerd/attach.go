package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// earlier is what an earlier process noted of a run. exit is nil when the run had not ended.
type earlier struct {
	assignment
	idBase uint32
	exit   *sandbox.Exit
}

// Attach implements sandbox.Runtime.
func (c *Runtime) Attach(ctx context.Context, execution string) (sandbox.Sandbox, string, error) {
	id, err := c.assignments.find(execution)
	if err != nil {
		return nil, "", fmt.Errorf("look for the sandbox of execution %s: %w", execution, err)
	}
	s := c.inherit(id)
	if s.earlier, err = s.dir.readEarlier(); err != nil {
		return nil, "", fmt.Errorf("attach sandbox %s: %w", id, err)
	}
	if _, there := c.live.LoadOrStore(id, s); there {
		return nil, "", fmt.Errorf("attach sandbox %s: it is attached", id)
	}
	s.idBase = s.earlier.idBase
	s.ids.keep(s.idBase)
	if s.earlier.exit != nil {
		return s, id, nil
	}
	if err := s.attach(context.WithoutCancel(ctx)); err != nil {
		s.ids.release(s.idBase)
		c.live.Delete(id)
		return nil, "", fmt.Errorf("attach sandbox %s: %w", id, err)
	}
	return s, id, nil
}

// attach opens the output and waits for the end, as the process did that made the sandbox.
func (s *container) attach(life context.Context) (err error) {
	if s.stdio, err = openOutputs(s.dir); err != nil {
		return err
	}
	group := s.config.cgroupPath(s.spec.ID)
	if s.oom, err = s.groups.WatchOOM(group); err != nil {
		s.stdio.abandon()
		return err
	}
	s.await(life)
	if kills, err := s.groups.OOMKills(group); err == nil && kills > 0 {
		s.signal(life, syscall.SIGKILL) // the kernel killed one process while no worker watched
	}
	return nil
}

// readEarlier reads what an earlier process noted in the run directory.
func (d runDir) readEarlier() (*earlier, error) {
	e := &earlier{exit: &sandbox.Exit{}}
	if err := readJSON(d.assignment(), &e.assignment); err != nil {
		return nil, err
	}
	var shared unix.Stat_t
	err := unix.Lstat(d.shared(), &shared)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: what it left went with the host's memory", sandbox.ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("look for its ids: %w", err)
	}
	e.idBase = shared.Uid - nobody
	err = readJSON(d.exit(), e.exit)
	if err == nil {
		return e, nil
	}
	if !errors.Is(err, sandbox.ErrGone) {
		return nil, err
	}
	e.exit = nil
	if _, err := os.Stat(d.delivered()); err != nil {
		return nil, fmt.Errorf("%w: it lacks a part of its document", sandbox.ErrGone)
	}
	return e, nil
}

// keepExit notes how a run ended. The files that it left stay where they are.
func (d runDir) keepExit(exit sandbox.Exit) error {
	text, err := json.Marshal(exit)
	if err != nil {
		return fmt.Errorf("encode exit: %w", err)
	}
	if err := os.WriteFile(d.exit(), text, 0o600); err != nil {
		return fmt.Errorf("write exit: %w", err)
	}
	return nil
}

// readJSON reads a file. The error is ErrGone where the file is missing, or not whole because its writer died.
func readJSON(path string, value any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return sandbox.ErrGone
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%w: %s is not whole", sandbox.ErrGone, filepath.Base(path))
	}
	return nil
}

// Forget implements sandbox.Runtime. The record goes first: should this process die then, the sandbox is an orphan.
func (c *Runtime) Forget(execution string) {
	held, readErr := c.assignments.read(execution)
	if err := c.assignments.remove(execution); err != nil {
		c.log.Error("execution not forgotten", "execution", execution, "error", err)
	}
	if s, live := c.live.Load(held.Sandbox); readErr == nil && live {
		s.(*container).leave(context.Background())
	}
}
