package containerd_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"attune"
	"attune/sandbox/containerd"
)

// TestShimIsKilled: nothing of the sandbox lives on. The process that runs it, or the next one, learns that its end is
// unknown. The next sandbox has a shim again.
func TestShimIsKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for id, c := range map[string]struct {
		runtime attune.Runtime
		unseen  bool
	}{
		"runc-seen": {attune.RuntimeRunc, false}, "runc-unseen": {attune.RuntimeRunc, true},
		"runsc-seen": {attune.RuntimeRunsc, false}, "runsc-unseen": {attune.RuntimeRunsc, true},
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			own := h
			own.config.Owner, own.config.StateDir = id, t.TempDir()
			runtime := own.open(t)
			s := own.subject(runtime)
			s.With = c.runtime
			made, err := runtime.Create(t.Context(), s.Spec(id, "stubborn"))
			if err != nil {
				t.Fatal(err)
			}
			started := make(chan struct{})
			in := s.Input(id)
			in.Stdout = writerFunc(func(p []byte) (int, error) { close(started); return len(p), nil })
			ended := make(chan error, 1)
			go func() {
				_, err := made.Run(t.Context(), in)
				ended <- err
			}()
			<-started
			shims := own.shims(t)
			if len(shims) != 1 {
				t.Fatalf("it has the shims %v", shims)
			}
			kill(t, shims[0])
			if c.unseen {
				s.Runtime = own.open(t)
				if attached, _, err := s.Runtime.Attach(t.Context(), id); err == nil {
					_, err = attached.Run(t.Context(), in)
					t.Log("attached, and then:", err)
				}
				if err := s.Runtime.Reconcile(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if err := <-ended; err == nil {
				t.Error("it is said to have ended in order")
			}
			s.AwaitNone(t)
			groups, err := filepath.Glob("/sys/fs/cgroup/*" + h.config.CgroupParent + "/" + id)
			if err != nil || len(groups) > 0 {
				t.Errorf("its groups are left: %v, %v", groups, err)
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(mounts), "/"+h.config.Namespace+"/"+id+"/") {
				t.Errorf("its root, or what it shares, is mounted (%v)", err)
			}
			if exit, err := s.Run(t.Context(), s.Spec(id+"-next", "echo"), s.Input(id+"-next")); err != nil || exit.Code != 0 {
				t.Errorf("the next: %+v, %v", exit, err)
			}
		})
	}
}

// TestShimLivesForItsSandboxes: attune-shim lives as long as the sandboxes that outlive its worker, and no longer.
func TestShimLivesForItsSandboxes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.config.Owner = "lives"
	first, err := containerd.New(t.Context(), h.config)
	if err != nil {
		t.Fatal(err)
	}
	s := h.subject(first)
	if exit, err := s.Run(t.Context(), s.Spec("before", "echo"), s.Input("before")); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	if _, err := first.Create(t.Context(), s.Spec("stays", "echo")); err != nil {
		t.Fatal(err)
	}
	shims := h.shims(t)
	args, _ := os.ReadFile(filepath.Join(shims[0], "cmdline"))
	_, socket, _ := strings.Cut(string(args), "\x00-socket\x00")
	socket, _, _ = strings.Cut(socket, "\x00")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if left := h.shims(t); len(shims) != 1 || !slices.Equal(left, shims) {
		t.Errorf("with a sandbox the shims are %v, and without its worker %v", shims, left)
	}
	second := h.open(t)
	if err := second.Remove(t.Context(), "stays"); err != nil {
		t.Error(err)
	}
	within(t, "the shim has ended", func() bool { return len(h.shims(t)) == 0 })
	if _, err := os.Stat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its socket %s is left (%v)", socket, err)
	}
}

// TestRuncReachesIntoSandboxes: the command looks into what the shim has made, for the operator.
func TestRuncReachesIntoSandboxes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := h.subject(h.open(t))
	made, err := s.Runtime.Create(t.Context(), s.Spec("reached", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	runc := filepath.Join(h.config.BinDir, "runc")
	args := append([]string{"--root", filepath.Join(h.config.StateDir, "runc"), "exec", "reached"}, s.Probe...)
	args = append(args, "cat", "/proc/1/cmdline", "/proc/self/uid_map")
	said, err := exec.CommandContext(t.Context(), runc, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "\x00echo\x00") || !strings.Contains(string(said), " 65536\n") {
		t.Errorf("%v: %s", err, said)
	}
	if err := made.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

type writerFunc func(p []byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }

func kill(t *testing.T, process string) {
	t.Helper()
	pid, err := strconv.Atoi(filepath.Base(process))
	if err == nil {
		err = unix.Kill(pid, unix.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shims are the processes of attune-shim that keep the host's sandboxes.
func (h host) shims(t *testing.T) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		args, _ := os.ReadFile(filepath.Join(process, "cmdline")) // it may have ended
		if strings.Contains(string(args), "\x00serve\x00") && strings.Contains(string(args), "\x00"+h.config.StateDir+"/") {
			found = append(found, process)
		}
	}
	return found
}

// within waits for what must become so soon.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !so(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 seconds it is not so that %s", what)
		}
	}
}
