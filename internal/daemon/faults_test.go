package daemon_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"attune/internal/daemon"
)

func TestADaemonThatDiesIsStartedAgain(t *testing.T) {
	t.Parallel()
	config := setup(t)
	set := start(t, config)
	remember(t, set, "before the crash")
	before := processesIn(t, config.Dir)
	for name, pids := range before {
		// The first is the parent of the others, where there are others.
		if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", name, err)
		}
	}
	eventually(t, func() error {
		for name, pids := range processesIn(t, config.Dir) {
			if pids[0] == before[name][0] {
				return fmt.Errorf("the killed %s is still there", name)
			}
		}
		return tryRecall(t, set, "before the crash")
	})
}

func TestStartReplacesWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	config := setup(t)
	killHelper := startHelper(t, config)
	killHelper()
	left := processesIn(t, config.Dir)
	for _, name := range []string{"postgres", "minio", "containerd"} {
		if left[name] == nil {
			t.Errorf("%s did not survive the end of its parent; left are %v", name, left)
		}
	}
	container := startContainer(t, config)

	set := start(t, config)
	t.Cleanup(func() {
		ctr(t, config, "tasks", "delete", "--force", container)
		ctr(t, config, "containers", "delete", container)
	})
	remember(t, set, "after the crash")
	recall(t, set, "after the crash")
	now := processesIn(t, config.Dir)
	for name := range left {
		if len(now[name]) == 0 || now[name][0] == left[name][0] {
			t.Errorf("%s was not replaced: before %v, now %v", name, left, now)
		}
		if name != "postgres" && len(now[name]) != 1 {
			t.Errorf("want one %s, got %v", name, now)
		}
	}
	state := ctr(t, config, "tasks", "list")
	if !strings.Contains(state, container+" ") || !strings.Contains(state, "RUNNING") {
		t.Errorf("the container did not survive the replacement of containerd:\n%s", state)
	}
}

// The helper is this test's program, run again as a process that starts the daemons and can be killed.
const (
	helperDir = "ATTUNE_DAEMON_HELPER_DIR"
	helperBin = "ATTUNE_DAEMON_HELPER_BIN"
)

func runHelper(dir, bin string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	_, err := daemon.Start(ctx, daemon.Config{
		Dir: dir, BinDir: bin, Postgres: true, MinIO: true, Containerd: true, PostgresSettings: []string{"fsync=off"},
	})
	if err != nil {
		fmt.Println("helper:", err)
		return 1
	}
	fmt.Println("ready")
	<-ctx.Done()
	return 0
}

// startHelper returns when the helper's daemons serve; what it returns kills the helper, and the helper alone.
func startHelper(t *testing.T, config daemon.Config) (kill func()) {
	t.Helper()
	helper := exec.CommandContext(t.Context(), os.Args[0])
	helper.Env = append(os.Environ(), helperDir+"="+config.Dir, helperBin+"="+config.BinDir)
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Errorf("the helper says %q (%v), want ready", line, err)
	}
	return func() {
		if err := helper.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = helper.Wait()
	}
}

// startContainer runs a process in a container that borrows the host's /usr.
func startContainer(t *testing.T, config daemon.Config) string {
	t.Helper()
	root := filepath.Join(config.Dir, "rootfs")
	if err := os.MkdirAll(filepath.Join(root, "usr"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctr(t, config, "run", "--detach", "--null-io", "--runc-root", filepath.Join(config.Dir, "runc"),
		"--cgroup", "/attune-test-"+filepath.Base(config.Dir), "--rootfs",
		"--mount", "type=bind,src=/usr,dst=/usr,options=rbind:ro",
		root, "survivor", "/usr/bin/sleep", "infinity")
	return "survivor"
}

func ctr(t *testing.T, config daemon.Config, args ...string) string {
	t.Helper()
	args = append([]string{
		"--address", filepath.Join(config.Dir, "containerd", "containerd.sock"),
		"--namespace", filepath.Base(config.Dir),
	}, args...)
	out, err := exec.Command(filepath.Join(config.BinDir, "ctr"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ctr %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// processesIn lists, by name, the processes whose working directory is below the folder; the oldest comes first.
func processesIn(t *testing.T, dir string) map[string][]int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]int)
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || !strings.HasPrefix(cwd, dir+"/") {
			continue
		}
		if name, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm")); err == nil {
			key := strings.TrimSpace(string(name))
			found[key] = append(found[key], pid)
		}
	}
	return found
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
