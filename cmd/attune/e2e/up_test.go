package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"attune"
)

// steadyPack waits until it is stopped, one at a time.
func steadyPack() files {
	return files{
		"pack.yaml":         "ref: steady\nversion: 1.0.0\n",
		"actions/hold.yaml": "ref: hold\nentry_point: hold.sh\npolicy: {concurrency: {limit: 1}}\n",
		"actions/hold.sh":   "echo begun\nwhile true; do sleep 0.1; done\n",
	}
}

// TestUpSurvivesItsOwnDeath runs attune with private daemons, kills it without a word while an execution runs and one
// waits, and starts it again on the same folder.
func TestUpSurvivesItsOwnDeath(t *testing.T) {
	t.Parallel()
	binary, dir := build(t), tempDir(t)
	first := start(t, binary, dir)
	for _, name := range []string{
		"ATTUNE_URL", "ATTUNE_TOKEN", "ATTUNE_DATABASE_URL", "ATTUNE_S3_ENDPOINT", "ATTUNE_S3_LOG_BUCKET",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ATTUNE_CONTAINERD_ADDRESS",
	} {
		if !slices.ContainsFunc(first.client, func(setting string) bool { return strings.HasPrefix(setting, name+"=") }) {
			t.Errorf("connections.env lacks %s", name)
		}
	}
	refused := exec.CommandContext(t.Context(), binary, "up", "--data-dir", dir, "--listen", "127.0.0.1:0")
	if out, err := refused.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("another attune is running")) {
		t.Errorf("a second attune on the folder: %v, %s", err, out)
	}
	other := exec.CommandContext(t.Context(), binary, "up", "--data-dir", tempDir(t), "--listen", "127.0.0.1:0")
	other.Env = append([]string{"HOME=" + os.Getenv("HOME")}, first.client...)
	if out, err := other.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("sealed with another key")) {
		t.Errorf("another folder on the first one's database: %v, %s", err, out)
	}
	first.install(t, steadyPack())
	runs, waits := first.submit(t, "steady.hold", nil), first.submit(t, "steady.hold", nil)
	// Not just running, which it is said to be while its sandbox is still being made.
	begun := first.await(t, runs.ID,
		func(attune.Execution) bool { return first.page(t, runs.ID, "stdout", 0, 1).Content != "" })
	first.kill(t)
	scrap := filepath.Join(dir, "staging", "archive-half")
	if err := os.WriteFile(scrap, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	// From a shell that has sourced connections.env: the folder's own addresses are no configuration.
	second := start(t, binary, dir, first.client...)
	if second.token != first.token {
		t.Error("the administrator's token has changed")
	}
	// What ran goes on, keeps its slot, and can be stopped.
	if e := second.await(t, runs.ID, running); !e.StartedAt.Equal(*begun.StartedAt) || e.Attempt != 1 {
		t.Errorf("what ran is %+v, was %+v", e, begun)
	}
	if e := second.await(t, waits.ID, func(attune.Execution) bool { return true }); e.Status != attune.StatusQueued {
		t.Errorf("what waited is %s, want queued", e.Status)
	}
	second.must(t, "", "execution", "cancel", runs.ID)
	if e := second.await(t, runs.ID, over); e.Status != attune.StatusCancelled {
		t.Errorf("what ran is %s for %s, want cancelled", e.Status, e.Reason)
	}
	if log := second.page(t, runs.ID, "stdout", 0, 1<<10).Content; log != "begun\n" {
		t.Errorf("its log is %q", log)
	}
	second.await(t, waits.ID, running)
	if _, err := os.Stat(scrap); !os.IsNotExist(err) {
		t.Errorf("what was being staged is still there: %v", err)
	}
	if found := names(t, dir); !slices.Equal(found, []string{"containerd", "minio", "postgres"}) {
		t.Errorf("daemons on the folder: %v, want one of each", found)
	}
	second.stop(t)
	if found := names(t, dir); len(found) > 0 {
		t.Errorf("daemons after the end: %v", found)
	}
}

// daemonProcess is one that a client of the daemon talks to.
type daemonProcess struct {
	name string
	pid  int
}

// daemons finds the heads of the daemons whose command line names the folder, by name.
func daemons(tb testing.TB, dir string) []daemonProcess {
	tb.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}
	var found []daemonProcess
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended.
		}
		name := filepath.Base(strings.Split(string(line), "\x00")[0])
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && strings.Contains(string(line), dir) &&
			slices.Contains([]string{"containerd", "minio", "postgres"}, name) {
			found = append(found, daemonProcess{name, pid})
		}
	}
	slices.SortFunc(found, func(a, b daemonProcess) int { return strings.Compare(a.name, b.name) })
	return found
}

// names are those of the daemons on the folder.
func names(tb testing.TB, dir string) (found []string) {
	tb.Helper()
	for _, d := range daemons(tb, dir) {
		found = append(found, d.name)
	}
	return found
}
