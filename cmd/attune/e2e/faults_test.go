package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"attune"
)

// countPack counts to a hundred in a few seconds, one at a time.
func countPack() files {
	return files{
		"pack.yaml":          "ref: steady\nversion: 1.0.0\n",
		"actions/count.yaml": "ref: count\nentry_point: count.sh\npolicy: {concurrency: {limit: 1}}\n",
		"actions/count.sh":   "for i in {1..100}; do echo $i; sleep 0.03; done\necho $i >$ATTUNE_RESULT\n",
	}
}

// TestRunsOutliveTheDaemons kills each private daemon while an execution runs and another waits. Both go on to their
// ends as if nothing had happened.
func TestRunsOutliveTheDaemons(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, build(t), dir)
	s.install(t, countPack())
	for _, name := range []string{"containerd", "minio", "postgres"} {
		runs, waits := s.submit(t, "steady.count", nil), s.submit(t, "steady.count", nil)
		// Not just running, which it is said to be while its sandbox is still being made.
		s.await(t, runs.ID, func(attune.Execution) bool { return s.page(t, runs.ID, "stdout", 0, 1).Content != "" })
		for _, d := range daemons(t, dir) {
			if d.name != name {
				continue
			}
			if err := syscall.Kill(d.pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{runs.ID, waits.ID} {
			e := s.await(t, id, over)
			if e.Status != attune.StatusCompleted || string(e.Result) != "100" {
				t.Errorf("%s was killed, and an execution is %s (%s) with %s", name, e.Status, e.Reason, e.Result)
			}
			log := s.page(t, id, "stdout", 0, 1<<10).Content
			if !strings.HasPrefix(log, "1\n2\n") || !strings.HasSuffix(log, "\n99\n100\n") {
				t.Errorf("%s was killed, and a log is %q", name, log)
			}
		}
	}
	s.losesItsShim(t, dir)
}

// losesItsShim: how an execution ends whose shim is killed cannot be known, and its slot is free once nothing of it
// runs.
func (s *service) losesItsShim(t *testing.T, dir string) {
	t.Helper()
	runs, waits := s.submit(t, "steady.count", nil), s.submit(t, "steady.count", nil)
	s.await(t, runs.ID, func(attune.Execution) bool { return s.page(t, runs.ID, "stdout", 0, 1).Content != "" })
	if err := syscall.Kill(shimOf(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lost := s.await(t, runs.ID, over)
	if lost.Status != attune.StatusAbandoned || lost.Reason != attune.ReasonSandboxLost {
		t.Errorf("it is %s (%s)", lost.Status, lost.Reason)
	}
	if log := s.page(t, runs.ID, "stdout", 0, 1<<10).Content; !strings.HasPrefix(log, "1\n") {
		t.Errorf("its log is %q", log)
	}
	if next := s.await(t, waits.ID, over); next.Status != attune.StatusCompleted ||
		next.ScheduledAt.Before(*lost.FinishedAt) {
		t.Errorf("the next one is %s, given its slot at %v; that was free at %v", next.Status, next.ScheduledAt,
			lost.FinishedAt)
	}
}

// shimOf finds the process that keeps the sandboxes of a data folder.
func shimOf(t *testing.T, dir string) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path) // it may have ended
		if strings.Contains(string(line), "\x00serve\x00") &&
			strings.Contains(string(line), "\x00"+filepath.Join(dir, "sandboxes")+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("the sandboxes in %s have no shim", dir)
	return 0
}
