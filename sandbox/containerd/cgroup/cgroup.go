package cgroup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"attune/internal/retry"
)

// Hierarchy is how a host keeps its control groups.
type Hierarchy struct {
	// V2: the unified hierarchy has the controllers. A hybrid host counts as version 1.
	V2 bool
	// mount is the folder in which all hierarchies of version 1 are mounted, or the one of version 2.
	mount string
	// memory is the mount with the memory controller.
	memory string
	// roots are the mounts in which a sandbox may have a group.
	roots []string
	// SwapLimit: the kernel can limit memory and swap together, on version 1.
	SwapLimit bool
	// SocketLimit: the kernel can limit the buffers of sockets, on version 1, where they do not count as memory.
	SocketLimit bool
}

// Mount is where hosts mount their control groups.
const Mount = "/sys/fs/cgroup"

// Find looks at what is mounted below a folder. It fails where a controller is missing that limits sandboxes.
func Find(mount string) (Hierarchy, error) {
	if controllers, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers")); err == nil {
		for _, controller := range []string{"memory", "pids", "cpu"} {
			if !slices.Contains(strings.Fields(string(controllers)), controller) {
				return Hierarchy{}, fmt.Errorf("cgroup version 2 has no %s controller at %s", controller, mount)
			}
		}
		return Hierarchy{V2: true, mount: mount, memory: mount, roots: []string{mount}}, nil
	}
	entries, err := os.ReadDir(mount)
	if err != nil {
		return Hierarchy{}, fmt.Errorf("find cgroups: %w", err)
	}
	found := Hierarchy{mount: mount}
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
			return Hierarchy{}, fmt.Errorf("the %s controller is not mounted below %s", controller, mount)
		}
	}
	_, err = os.Stat(found.memory + "/memory.memsw.limit_in_bytes")
	found.SwapLimit = err == nil
	_, err = os.Stat(filepath.Join(found.memory, socketLimit))
	found.SocketLimit = err == nil
	return found, nil
}

// OOMKills is the number of processes of a group that the kernel killed because the group was out of memory.
func (h Hierarchy) OOMKills(path string) (int, error) {
	file := "memory.oom_control"
	if h.V2 {
		file = "memory.events"
	}
	text, err := os.ReadFile(filepath.Join(h.memory, path, file))
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

// Empty reports whether no process is in a group. A sandbox cannot make groups below its own.
func (h Hierarchy) Empty(path string) (bool, error) {
	pids, err := os.ReadFile(filepath.Join(h.memory, path, "cgroup.procs"))
	if err != nil {
		return false, fmt.Errorf("look for processes: %w", err)
	}
	return len(pids) == 0, nil
}

// End removes a group with everything in it: it kills what still runs there and waits for the end of that, until ctx
// ends.
func (h Hierarchy) End(ctx context.Context, path string) error {
	return retry.Do(ctx, retry.Pauses(endPause, endPause), func() error {
		err := h.Remove(path)
		if err == nil {
			return nil
		}
		return errors.Join(err, h.kill(path))
	}, nil)
}

// endPause is the time between two looks whether killed processes have ended.
const endPause = 5 * time.Millisecond

// kill sends SIGKILL to the processes of a group. While they begin and end, they may be in some hierarchies only.
func (h Hierarchy) kill(path string) error {
	var errs []error
	for _, root := range h.roots {
		text, err := os.ReadFile(filepath.Join(root, path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // removed meanwhile
		}
		errs = append(errs, err)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return errors.Join(errs...)
}

// Remove removes what the container runtime left of a group. It fails while a process is in it.
func (h Hierarchy) Remove(path string) error {
	var errs []error
	for _, root := range h.roots {
		if err := os.Remove(filepath.Join(root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// socketLimit is the file of version 1 that limits the buffers of TCP and UDP sockets. Other memory of the kernel
// counts as memory of the group in both versions.
const socketLimit = "memory.kmem.tcp.limit_in_bytes"

// LimitSockets limits the buffers of a group's sockets where they do not count as memory. It holds for sockets that are
// made later.
func (h Hierarchy) LimitSockets(path string, bytes int64) error {
	if !h.SocketLimit {
		return nil
	}
	limit := strconv.FormatInt(bytes, 10)
	if err := os.WriteFile(filepath.Join(h.memory, path, socketLimit), []byte(limit), 0); err != nil {
		return fmt.Errorf("limit the sockets of a control group: %w", err)
	}
	return nil
}

// SetFullWeight gives a group the share of the processor that groups have by default.
func (h Hierarchy) SetFullWeight(path string) error {
	file, weight := "cpu.shares", "1024"
	if h.V2 {
		file, weight = "cpu.weight", "100"
	}
	if err := os.WriteFile(filepath.Join(h.folder("cpu"), path, file), []byte(weight), 0); err != nil {
		return fmt.Errorf("set the weight of a control group: %w", err)
	}
	return nil
}
