package containerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// keep has a process of its own hold the reading ends of the outputs, until the sandbox is removed. When the sandbox ends, the
// shim lets go of the pipes; had we died by then, what is in them would go with the last end. It never reads. Our own shim does that itself.
func (s *container) keep() error {
	stdout, stderr, err := s.dir.openOutputs()
	if err != nil {
		return err
	}
	defer func() { _, _ = stdout.Close(), stderr.Close() }()
	keeper := exec.Command(s.sleep, "infinity")
	keeper.Stdin, keeper.ExtraFiles = stdout, []*os.File{stderr}
	keeper.Env, keeper.Dir = []string{}, "/"
	// What a terminal sends to us is not for it.
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return fmt.Errorf("start keeper of the outputs: %w", err)
	}
	s.keeper = keeper
	return nil
}

// endKeeper ends the keeper of a sandbox. That of an earlier process is known by its stdin.
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
