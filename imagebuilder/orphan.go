package imagebuilder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// endOrphanedShims ends the shims that containerd does not know of. When a client disconnects while the shim of its
// build container is being started, containerd kills the starter and removes the container's folder. A shim that has
// begun by then lives on in a deleted folder, as it does when containerd dies at that moment. No such shim was ever
// told to make a container.
func (b *Builder) endOrphanedShims() error {
	err := killEach(func(process string) bool {
		folder, err := os.Readlink(filepath.Join(process, "cwd"))
		if err != nil || !strings.HasSuffix(folder, " (deleted)") {
			return false
		}
		line, err := os.ReadFile(filepath.Join(process, "cmdline"))
		args := strings.Split(string(line), "\x00")
		return err == nil && strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") &&
			follows(args, "-namespace", b.config.Namespace) && follows(args, "-address", b.config.Address)
	})
	if err != nil {
		return fmt.Errorf("end orphaned shims: %w", err)
	}
	return nil
}

// follows reports whether an argument is followed by a value.
func follows(args []string, name, value string) bool {
	at := slices.Index(args, name)
	return at >= 0 && at+1 < len(args) && args[at+1] == value
}

// killEach kills the processes whose folder in /proc is recognized.
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
		// From here on the process is held: its id cannot become that of another.
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
