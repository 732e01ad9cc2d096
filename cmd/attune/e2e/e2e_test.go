package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"attune"
)

// TestMainJob is the way of every user: packs in, runs through the queue, results and logs out. Its parts share one
// service.
func TestMainJob(t *testing.T) {
	t.Parallel()
	s := start(t, build(t), tempDir(t), environment(t)...)
	s.install(t, opsPack())
	t.Run("parts", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *service){
			"three runs with limit 1 go in order": runsInOrder,
			"concurrent submissions":              concurrentSubmissions,
			"each end has its state":              endings,
			"a secret is nowhere on the host":     secretIsNowhere,
			"a flood is capped":                   floodIsCapped,
			"libraries do not conflict":           conflictingLibraries,
			"a failed install changes nothing":    failedInstall,
			"bad input is refused":                badInput,
			"a limit that was met is the reason":  limitsAreReasons,
			"output files are kept":               outputsAreKept,
			"gVisor":                              runsInGVisor,
			"actions mean what they say":          actionsMeanWhatTheySay,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	t.Run("hostile results", func(t *testing.T) { hostileResults(t, s) })
}

func (s *service) stats(tb testing.TB, action string) attune.QueueStats {
	tb.Helper()
	var stats attune.QueueStats
	s.call(tb, http.MethodGet, "/actions/"+action+"/queue-stats", nil, &stats)
	return stats
}

func runsInOrder(t *testing.T, s *service) {
	first := s.submit(t, "ops.block", nil)
	s.await(t, first.ID, running)
	second, third := s.submit(t, "ops.block", nil), s.submit(t, "ops.block", nil)
	if *second.Position != 1 || *third.Position != 2 {
		t.Errorf("positions are %d and %d, want 1 and 2", *second.Position, *third.Position)
	}
	for i, e := range []attune.Execution{first, second, third} {
		s.await(t, e.ID, running)
		stats := s.stats(t, "ops.block")
		if stats.Running != 1 || stats.Waiting != 2-i || *stats.Limit != 1 {
			t.Errorf("while run %d runs, the queue is %+v", i+1, stats)
		}
		s.must(t, "", "execution", "cancel", e.ID)
		if e = s.await(t, e.ID, over); e.Status != attune.StatusCancelled || e.Reason != attune.ReasonCancelRequested {
			t.Errorf("run %d ended as %s for %s, want cancelled", i+1, e.Status, e.Reason)
		}
	}
	if stats := s.stats(t, "ops.block"); stats.Running != 0 || stats.Waiting != 0 {
		t.Errorf("after all runs the queue is %+v", stats)
	}
}

// concurrentSubmissions: a submission that was answered before another was sent must start before it, and the starts
// never overlap. Submitters send their own one after the other, so there is something to compare.
func concurrentSubmissions(t *testing.T, s *service) {
	const submitters, each = 20, 5
	chains := make([][]attune.Execution, submitters)
	var group sync.WaitGroup
	for i := range submitters {
		group.Go(func() {
			for range each {
				chains[i] = append(chains[i], s.submit(t, "ops.echo", nil))
			}
		})
	}
	group.Wait()
	var all []attune.Execution
	for _, chain := range chains {
		for i, e := range chain {
			e = s.await(t, e.ID, over)
			if e.Status != attune.StatusCompleted {
				t.Fatalf("%s ended as %s for %s", e.ID, e.Status, e.Reason)
			}
			if i > 0 && e.ScheduledAt.Before(*chain[i-1].ScheduledAt) {
				t.Errorf("%s started before %s, which was submitted first", e.ID, chain[i-1].ID)
			}
			chain[i] = e
			all = append(all, e)
		}
	}
	for _, a := range all {
		for _, b := range all {
			if a.ID != b.ID && a.StartedAt.Before(*b.FinishedAt) && b.StartedAt.Before(*a.FinishedAt) {
				t.Fatalf("%s and %s ran at the same time with limit 1", a.ID, b.ID)
			}
		}
	}
}

func endings(t *testing.T, s *service) {
	for _, want := range []struct {
		action string
		status attune.Status
		reason attune.Reason
		exit   int // of attune run --wait
	}{
		{"ops.echo", attune.StatusCompleted, "", 0},
		{"ops.fail", attune.StatusFailed, attune.ReasonExitCode, 1},
		{"ops.raise", attune.StatusFailed, attune.ReasonException, 1},
		{"ops.slow", attune.StatusTimeout, attune.ReasonDeadline, 3},
	} {
		if _, exit := s.cli(t, "", "run", want.action, "--wait"); exit != want.exit {
			t.Errorf("attune run %s ended with %d, want %d", want.action, exit, want.exit)
		}
		var latest []attune.Execution
		s.call(t, http.MethodGet, "/executions?limit=1&action="+want.action, nil, &latest)
		e := s.await(t, latest[0].ID, over)
		if e.Status != want.status || e.Reason != want.reason {
			t.Errorf("%s ended as %s for %q, want %s for %q", want.action, e.Status, e.Reason, want.status, want.reason)
		}
		switch want.action {
		case "ops.fail":
			if *e.ExitCode != 3 || s.page(t, e.ID, "stderr", 0, 100).Content != "broken\n" {
				t.Errorf("exit code %d, stderr %q", *e.ExitCode, s.page(t, e.ID, "stderr", 0, 100).Content)
			}
		case "ops.raise":
			stderr := s.page(t, e.ID, "stderr", 0, 10000).Content
			if e.Failure == nil || e.Failure.ErrorType != "ValueError" || e.Failure.Error != "no such thing" ||
				!strings.Contains(stderr, "ValueError: no such thing") {
				t.Errorf("failure is %+v, stderr %q", e.Failure, stderr)
			}
		}
	}
}

func secretIsNowhere(t *testing.T, s *service) {
	canary := "canary-" + rand.Text()
	s.must(t, canary, "secret", "set", "canary", "--action", "ops.reveal")
	e := s.submit(t, "ops.reveal", nil)
	s.await(t, e.ID, func(attune.Execution) bool {
		return strings.Contains(s.page(t, e.ID, "stdout", 0, 100).Content, "holding")
	})
	processes := 0
	for _, name := range []string{"environ", "cmdline"} {
		paths, err := filepath.Glob("/proc/[0-9]*/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				continue // The process has ended, or is the kernel's.
			}
			processes++
			if bytes.Contains(content, []byte(canary)) {
				t.Errorf("%s has the secret", path)
			}
		}
	}
	ps, err := exec.CommandContext(t.Context(), "ps", "axeww").Output()
	if err != nil || !bytes.Contains(ps, []byte("run.py")) || bytes.Contains(ps, []byte(canary)) {
		t.Errorf("ps must show the run and not its secret (%v)", err)
	}
	if processes < 10 {
		t.Errorf("looked at %d files of processes only", processes)
	}
	hash := sha256.Sum256([]byte(canary))
	if e = s.await(t, e.ID, over); decoded(t, e.Result)["sha256"] != hex.EncodeToString(hash[:]) {
		t.Errorf("the action did not read the secret: %s %s", e.Status, e.Result)
	}
}

func floodIsCapped(t *testing.T, s *service) {
	const total, limit, tail = 50 << 20, 10 << 20, 64 << 10
	before := memoryMiB(t, s.process.Pid, "VmRSS:")
	e := s.submit(t, "ops.flood", nil)
	if e = s.await(t, e.ID, over); e.Status != attune.StatusCompleted {
		t.Fatalf("flood ended as %s for %s", e.Status, e.Reason)
	}
	if peak := memoryMiB(t, s.process.Pid, "VmHWM:"); peak > before+40 {
		t.Errorf("attune grew from %d to %d MiB over a log of 50 MiB", before, peak)
	} else {
		t.Logf("attune had %d MiB before a log of 50 MiB, and %d at its peak", before, peak)
	}
	marker := fmt.Sprintf("\n[TRUNCATED: %d bytes omitted, log exceeded 10 MiB limit]\n", total-limit-tail)
	head := s.page(t, e.ID, "stdout", 0, 4)
	middle := s.page(t, e.ID, "stdout", limit, int64(len(marker)))
	if head.Content != "HEAD" || middle.Content != marker || !head.Truncated ||
		head.TotalSize != int64(limit+len(marker)+tail) {
		t.Errorf("head %+v, middle %q", head, middle.Content)
	}
	if end := s.page(t, e.ID, "stdout", head.TotalSize-5, 10); end.Content != "TAIL\n" ||
		end.NextOffset != head.TotalSize {
		t.Errorf("end of the log is %+v", end)
	}
}

// memoryMiB is a figure of a process's memory: VmRSS for now, VmHWM for the most it ever had.
func memoryMiB(tb testing.TB, pid int, figure string) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), figure)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		tb.Fatal(err)
	}
	return kib >> 10
}

func conflictingLibraries(t *testing.T, s *service) {
	for _, pack := range []struct{ ref, version string }{{"older", "1.0.0"}, {"newer", "2.0.0"}} {
		s.install(t, files{
			"pack.yaml": fmt.Sprintf("ref: %s\nversion: 1.0.0\ndependencies: {python: {packages: [\"shared==%s\"]}}\n",
				pack.ref, pack.version),
			"actions/which.yaml": "ref: which\nentry_point: which.py\n",
			"actions/which.py":   "import shared\ndef run(parameters, secrets):\n    return {'version': shared.version}\n",
			"wheels/shared-" + pack.version + "-py3-none-any.whl": wheel(t, "shared", pack.version),
		})
	}
	for _, pack := range []struct{ ref, version string }{{"older", "1.0.0"}, {"newer", "2.0.0"}} {
		e := s.submit(t, pack.ref+".which", nil)
		if e = s.await(t, e.ID, over); decoded(t, e.Result)["version"] != pack.version {
			t.Errorf("%s got %s, want version %s", pack.ref, e.Result, pack.version)
		}
	}
}

func failedInstall(t *testing.T, s *service) {
	pack := func(version, requirement string) files {
		return files{
			"pack.yaml": fmt.Sprintf("ref: steady\nversion: %s\ndependencies: {nodejs: {packages: [%q]}}\n", version,
				requirement),
			"actions/go.yaml": "ref: go\nentry_point: go.sh\n",
			"actions/go.sh":   "echo '{\"version\": \"" + version + "\"}' > \"$ATTUNE_RESULT\"\n",
		}
	}
	s.install(t, pack("1.0.0", "is-number@7.0.0"))
	if out, status := s.cli(t, "", "pack", "install", writePack(t, pack("2.0.0", "is-number@999.0.0")),
		"--wait"); status != 1 {
		t.Fatalf("installation with a dependency that does not exist ended with %d: %s", status, out)
	}
	var installation attune.Installation
	s.call(t, http.MethodGet, "/packs/steady/installation-status", nil, &installation)
	var log attune.LogPage
	s.call(t, http.MethodGet, "/packs/steady/installation-log", nil, &log)
	if installation.Status != attune.InstallationFailed || !strings.Contains(log.Content, "No matching version found") {
		t.Errorf("installation is %+v, its log %q", installation, log.Content)
	}
	e := s.submit(t, "steady.go", nil)
	if e = s.await(t, e.ID, over); decoded(t, e.Result)["version"] != "1.0.0" {
		t.Errorf("the version before does not serve: %s %s", e.Status, e.Result)
	}
}

func badInput(t *testing.T, s *service) {
	for path, want := range map[string]int{
		"/actions/ops.nothing": 404, "/executions/nothing": 404, "/packs/nothing": 404,
		"/executions/00000000-0000-7000-8000-000000000000/logs/stdout": 404,
	} {
		if got := s.call(t, http.MethodGet, path, nil, nil); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	for action, want := range map[string]int{"ops.nothing": 404, "ops.reveal2": 404} {
		if got := s.call(t, http.MethodPost, "/executions", map[string]any{"action": action}, nil); got != want {
			t.Errorf("submit %s: %d, want %d", action, got, want)
		}
	}
	if out, status := s.cli(t, "", "pack", "install",
		writePack(t, files{"pack.yaml": "ref: bad\nversion: 1.0.0\ncolor: red\n"})); status == 0 {
		t.Errorf("a pack with an unknown field was accepted: %s", out)
	}
}
