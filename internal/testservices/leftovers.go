package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// removeContainers removes the tasks and containers of all containerd namespaces, and returns their names.
func removeContainers(ctx context.Context, bin, address string) ([]string, error) {
	ctr := func(args ...string) ([]string, error) {
		args = append([]string{"--address", address}, args...)
		out, err := exec.CommandContext(ctx, filepath.Join(bin, "ctr"), args...).Output()
		if err != nil {
			return nil, fmt.Errorf("ctr %s: %w", strings.Join(args, " "), err)
		}
		return strings.Fields(string(out)), nil
	}
	namespaces, err := ctr("namespaces", "list", "--quiet")
	var removed []string
	for _, namespace := range namespaces {
		tasks, listErr := ctr("--namespace", namespace, "tasks", "list", "--quiet")
		err = errors.Join(err, listErr)
		for _, id := range tasks {
			removed = append(removed, fmt.Sprintf("task %s in namespace %s", id, namespace))
			_, deleteErr := ctr("--namespace", namespace, "tasks", "delete", "--force", id)
			err = errors.Join(err, deleteErr)
		}
		containers, listErr := ctr("--namespace", namespace, "containers", "list", "--quiet")
		err = errors.Join(err, listErr)
		for _, id := range containers {
			removed = append(removed, fmt.Sprintf("container %s in namespace %s", id, namespace))
			_, deleteErr := ctr("--namespace", namespace, "containers", "delete", id)
			err = errors.Join(err, deleteErr)
		}
	}
	return removed, err
}

// namedNetworks is where ip keeps network namespaces. It mounts something on the folder and never unmounts it.
const namedNetworks = "/run/netns"

// mount is one mount of this process's namespace.
type mount struct{ kind, path string }

func mounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []mount
	for line := range strings.Lines(string(text)) {
		// id, parent, device, root, mount point, options …, "-", type, source, …
		before, after, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(rest) < 1 {
			return nil, fmt.Errorf("cannot read a line of mountinfo: %q", line)
		}
		found = append(found, mount{kind: rest[0], path: fields[4]})
	}
	return found, nil
}

// removeMounts removes the mounts that are not in before, the latest first, and returns their paths.
func removeMounts(before []mount) ([]string, error) {
	now, err := mounts()
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, m := range slices.Backward(missingFrom(before, now)) {
		if m.path == namedNetworks {
			continue
		}
		removed = append(removed, fmt.Sprintf("mount of %s at %s", m.kind, m.path))
		if err := unix.Unmount(m.path, unix.MNT_DETACH); err != nil {
			return removed, fmt.Errorf("unmount %s: %w", m.path, err)
		}
		// Unmounting a named network namespace leaves an empty file.
		if m.kind == "nsfs" {
			if err := os.Remove(m.path); err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

const controlGroupRoot = "/sys/fs/cgroup"

// controlGroups lists the control groups on this host with Attune's name in their path.
func controlGroups() ([]string, error) {
	var found []string
	err := filepath.WalkDir(controlGroupRoot, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err == nil && entry.IsDir() && strings.Contains(path, "attune") {
			found = append(found, path)
		}
		return err
	})
	return found, err
}

// removeControlGroups removes the control groups that are not in before, innermost first, and returns them. Those with
// processes are not ours, since ours have ended by now.
func removeControlGroups(before []string) ([]string, error) {
	now, err := controlGroups()
	if err != nil {
		return nil, err
	}
	left := missingFrom(before, now)
	slices.SortFunc(left, func(a, b string) int { return len(b) - len(a) })
	var removed []string
	for _, group := range left {
		if os.Remove(group) == nil {
			removed = append(removed, group)
		}
	}
	return removed, nil
}
