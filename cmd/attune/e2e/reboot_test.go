package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"attune"
)

// TestRebootOfTheHost: all processes and mounts are gone, and the boot is another. What ran is abandoned, with the log
// that was on the disk, and what waited runs.
func TestRebootOfTheHost(t *testing.T) {
	t.Parallel()
	binary, dir := build(t), tempDir(t)
	first := boot(t, binary, dir)
	first.install(t, steadyPack())
	runs, waits := first.submit(t, "steady.hold", nil), first.submit(t, "steady.hold", nil)
	first.await(t, runs.ID, func(attune.Execution) bool { return first.page(t, runs.ID, "stdout", 0, 1).Content != "" })
	everything := descendants(t, first.process.Pid)
	first.kill(t)
	for _, pid := range everything {
		_ = syscall.Kill(pid, syscall.SIGKILL) // some end with their parents
	}
	awaitGone(t, everything)
	// The kernel's name for its boot stays in a test. So the folder gets that of another one.
	if err := os.WriteFile(filepath.Join(dir, "sandboxes", "boot"), []byte(uuid.NewString()), 0o600); err != nil {
		t.Fatal(err)
	}

	second := boot(t, binary, dir)
	if e := second.await(t, runs.ID, over); e.Status != attune.StatusAbandoned || e.Reason != attune.ReasonWorkerLost {
		t.Errorf("what ran is %s (%s)", e.Status, e.Reason)
	}
	if log := second.page(t, runs.ID, "stdout", 0, 1<<10).Content; log != "begun\n" {
		t.Errorf("its log is %q", log)
	}
	if e := second.await(t, waits.ID, running); e.Attempt != 1 {
		t.Errorf("what waited is in attempt %d", e.Attempt)
	}
	second.must(t, "", "execution", "cancel", waits.ID)
	second.await(t, waits.ID, over)
}

// boot starts attune in a mount namespace of its own, which ends with its processes.
func boot(t *testing.T, binary, dir string) *service {
	t.Helper()
	s := launch(t, "unshare", nil, "--mount", binary, "up", "--data-dir", dir, "--listen", "127.0.0.1:0")
	s.binary = binary
	s.connect(t, dir)
	return s
}

// descendants lists the processes that have come from one, without itself.
func descendants(t *testing.T, pid int) (found []int) {
	t.Helper()
	children, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range children {
		text, _ := os.ReadFile(path) // a thread may have ended
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			found = append(append(found, child), descendants(t, child)...)
		}
	}
	return found
}

// awaitGone waits until none of the processes runs; nobody may have taken note of their ends.
func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); len(pids) > 0; <-tick.C {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pids[0]) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			pids = pids[1:]
			continue
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end: %s", pids[0], stat)
		}
	}
}
