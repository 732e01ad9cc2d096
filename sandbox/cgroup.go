package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cgroups is how this host keeps control groups.
type cgroups struct {
	// v2 is true where the unified hierarchy has the controllers. A hybrid host counts as version 1.
	v2 bool
	// mount is the folder that all hierarchies are mounted in, or the one.
	mount string
	// memory is the mount that has the memory controller.
	memory string
	// roots are all mounts a sandbox may have a group in.
	roots []string
	// swapLimit: version 1 can limit memory and swap together.
	swapLimit bool
}

const cgroupMount = "/sys/fs/cgroup"

// findCgroups reads what is mounted below a folder, and refuses a host without what limits a sandbox.
func findCgroups(mount string) (cgroups, error) {
	if controllers, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers")); err == nil {
		for _, controller := range []string{"memory", "pids", "cpu"} {
			if !slices.Contains(strings.Fields(string(controllers)), controller) {
				return cgroups{}, fmt.Errorf("cgroup version 2 has no %s controller at %s", controller, mount)
			}
		}
		return cgroups{v2: true, mount: mount, memory: mount, roots: []string{mount}}, nil
	}
	entries, err := os.ReadDir(mount)
	if err != nil {
		return cgroups{}, fmt.Errorf("find cgroups: %w", err)
	}
	found := cgroups{mount: mount}
	for _, entry := range entries {
		root := filepath.Join(mount, entry.Name())
		if entry.IsDir() {
			found.roots = append(found.roots, root)
		}
		if _, err := os.Stat(root + "/memory.oom_control"); err == nil && entry.IsDir() {
			found.memory = root
		}
	}
	for _, controller := range []string{"memory", "pids", "cpu", "freezer", "devices"} {
		if _, err := os.Stat(filepath.Join(mount, controller)); err != nil {
			return cgroups{}, fmt.Errorf("the %s controller is not mounted below %s", controller, mount)
		}
	}
	_, err = os.Stat(found.memory + "/memory.memsw.limit_in_bytes")
	found.swapLimit = err == nil
	return found, nil
}

// oomKills is how many processes of a group the kernel has killed because the group was out of memory.
func (c cgroups) oomKills(path string) (int, error) {
	file := "memory.oom_control"
	if c.v2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(c.memory, path, file))
	if err != nil {
		return 0, fmt.Errorf("read out-of-memory counter: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if count, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			return strconv.Atoi(count)
		}
	}
	return 0, fmt.Errorf("%s of %s has no oom_kill", file, path)
}

// empty tells whether no process is in a group. A sandbox cannot make groups below its own.
func (c cgroups) empty(path string) (bool, error) {
	pids, err := os.ReadFile(filepath.Join(c.memory, path, "cgroup.procs"))
	if err != nil {
		return false, fmt.Errorf("look for processes: %w", err)
	}
	return len(pids) == 0, nil
}

// remove takes away what is left of a group; the runtime has normally done so. It fails while a process is in it.
func (c cgroups) remove(path string) error {
	var errs []error
	for _, root := range c.roots {
		if err := os.Remove(filepath.Join(root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
