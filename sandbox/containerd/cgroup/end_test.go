package cgroup

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestEndKillsWhatRunsInAGroup: also where the process is in some hierarchies only.
func TestEndKillsWhatRunsInAGroup(t *testing.T) {
	t.Parallel()
	groups, err := Find(Mount)
	if err != nil {
		t.Fatal(err)
	}
	path := "/attune-end-" + rand.Text()[:8]
	t.Cleanup(func() { _ = groups.End(context.WithoutCancel(t.Context()), path) })
	process := exec.CommandContext(t.Context(), "sleep", "60")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	for i, root := range groups.roots {
		if err := os.Mkdir(filepath.Join(root, path), 0o700); err != nil {
			t.Fatal(err)
		}
		if i > 0 && i%2 == 0 {
			continue
		}
		pid := strconv.Itoa(process.Process.Pid)
		err := os.WriteFile(filepath.Join(root, path, "cgroup.procs"), []byte(pid), 0)
		if err != nil && filepath.Base(root) != "cpuset" { // which takes processes once it has processors
			t.Fatal(err)
		}
	}
	if err := groups.Remove(path); err == nil {
		t.Error("a group was removed with a process in it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := groups.End(ctx, path); err != nil {
		t.Error(err)
	}
	for _, root := range groups.roots {
		if _, err := os.Stat(filepath.Join(root, path)); err == nil {
			t.Errorf("the group is still in %s", root)
		}
	}
	if err := process.Wait(); err == nil {
		t.Error("the process went on")
	}
}
