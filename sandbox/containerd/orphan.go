package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// endStrayShims ends the shims that containerd does not know of. When whoever asks for a task goes away while its shim starts,
// containerd kills the starter and removes the task's folder; the shim may have begun by then, and lives on in a folder that is
// gone. A containerd that dies meanwhile leaves the same. Such a shim was never told to make a container.
func (c *Runtime) endStrayShims() error {
	err := killEach(func(process string) bool {
		folder, err := os.Readlink(filepath.Join(process, "cwd"))
		if err != nil || !strings.HasSuffix(folder, " (deleted)") {
			return false
		}
		line, err := os.ReadFile(filepath.Join(process, "cmdline"))
		args := strings.Split(string(line), "\x00")
		return err == nil && strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") &&
			follows(args, "-namespace", c.config.Namespace) && follows(args, "-address", c.config.Address)
	})
	if err != nil {
		return fmt.Errorf("end stray shims: %w", err)
	}
	return nil
}

func follows(args []string, name, value string) bool {
	at := slices.Index(args, name)
	return at >= 0 && at+1 < len(args) && args[at+1] == value
}

// killEach kills the processes that are recognized by their folders in /proc.
func killEach(recognized func(process string) bool) error {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, folder := range processes {
		if !recognized(folder) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			continue
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		// It is held by now: the number cannot become another's.
		if recognized(folder) {
			err = process.Kill()
		}
		_ = process.Release()
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
}
