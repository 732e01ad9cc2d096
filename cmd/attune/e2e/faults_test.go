package e2e

import (
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

// TestRunsOutliveTheDaemons kills each private daemon while an execution runs and another waits. Both go on to their ends
// as if nothing had happened.
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
}
