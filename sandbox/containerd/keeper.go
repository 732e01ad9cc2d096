package containerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// keep starts a process that holds the reading ends of the output pipes until the sandbox is removed. When a sandbox
// ends, containerd's shim closes the pipes; if this process is dead by then, what is in them would be lost with the
// last reader. The keeper never reads. attune-shim holds the pipes itself.
func (s *container) keep() error {
	stdout, stderr, err := s.dir.openOutputs()
	if err != nil {
		return err
	}
	defer func() { _, _ = stdout.Close(), stderr.Close() }()
	keeper := exec.Command(s.sleep, "infinity")
	keeper.Stdin, keeper.ExtraFiles = stdout, []*os.File{stderr}
	keeper.Env, keeper.Dir = []string{}, "/"
	// Signals from this process's terminal do not reach it.
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return fmt.Errorf("start keeper of the outputs: %w", err)
	}
	s.keeper = keeper
	return nil
}

// endKeeper ends the keeper of a sandbox. One that an earlier process started is recognized by its stdin.
func (s *container) endKeeper(context.Context) error {
	switch {
	case s.keeper != nil:
		_ = s.keeper.Process.Kill()
		_ = s.keeper.Wait()
		return nil
	case !s.inherited:
		return nil
	}
	err := killEach(func(process string) bool {
		to, err := os.Readlink(filepath.Join(process, "fd/0"))
		return err == nil && to == s.dir.stdout()
	})
	if err != nil {
		return fmt.Errorf("end keeper: %w", err)
	}
	return nil
}
