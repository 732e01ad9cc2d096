package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"attune"
	"attune/sandbox/containerd"
)

// slowShim starts a shim as the real one does, signals that, and never says where the shim listens.
const slowShim = `#!/bin/sh
shim=%[1]s/containerd-shim-runc-v2
case "$*" in
*start) "$shim" "$@" && echo >%[2]s/begun && read -r _ <%[2]s/never ;;
*) exec "$shim" "$@" ;;
esac
`

// TestReconcileEndsOrphanedShims plays a worker that dies while containerd starts a shim for it: containerd kills the
// starter, and does not know the shim, which lives on.
func TestReconcileEndsOrphanedShims(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	s := h.subject(runtime)
	s.With = attune.RuntimeRunsc // containerd starts no shim for the others
	used, err := runtime.Create(t.Context(), s.Spec("used", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.Remove(context.WithoutCancel(t.Context())) }()
	h.leaveOrphanedShim(t)
	within(t, "containerd has given it up", func() bool { return len(h.shims(t, "cwd", " (deleted)")) == 1 })
	if err := runtime.Reconcile(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "only the shim of the other is left", func() bool {
		return len(h.shims(t, "cwd", "/used")) == 1 && len(h.shims(t, "cwd", "")) == 1
	})
	if exit, err := used.Run(t.Context(), s.Input("used")); err != nil || exit.Code != 0 {
		t.Errorf("the other: %+v, %v", exit, err)
	}
	runtime.Forget("used")
}

func (h host) leaveOrphanedShim(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, pipe := range []string{"begun", "never"} {
		if err := unix.Mkfifo(filepath.Join(dir, pipe), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shim := filepath.Join(dir, "shim")
	if err := os.WriteFile(shim, fmt.Appendf(nil, slowShim, h.config.BinDir, dir), 0o700); err != nil {
		t.Fatal(err)
	}
	spec, err := typeurl.MarshalAny(&specs.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	record := containers.Container{ID: "stray", Spec: spec, Runtime: containers.RuntimeInfo{Name: shim}}
	if _, err := h.client.ContainerService().Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan error, 1)
	go func() {
		_, err := h.client.TaskService().Create(ctx, &tasks.CreateTaskRequest{ContainerID: record.ID})
		asked <- err
	}()
	if _, err := os.ReadFile(filepath.Join(dir, "begun")); err != nil {
		t.Fatal(err)
	}
	// Before, it would not survive the loss of its folder.
	within(t, "the shim has its log", func() bool { return len(h.shims(t, "fd/2", "/stray/log")) == 1 })
	cancel()
	if err := <-asked; err == nil {
		t.Error("it was made")
	}
	if err := h.client.ContainerService().Delete(t.Context(), record.ID); err != nil {
		t.Error(err)
	}
}

// TestShimIsKilled: nothing of the sandbox lives on. The process that runs it, or the next one, learns that its end is
// unknown. The next sandbox has a shim again.
func TestShimIsKilled(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for id, c := range map[string]struct {
		runtime attune.Runtime
		unseen  bool
	}{
		"seen": {attune.RuntimeRunc, false}, "unseen": {attune.RuntimeRunc, true},
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
			shims := append(own.shims(t, "cwd", "/"+id), own.ownShims(t)...)
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
				t.Errorf("its root is mounted (%v)", err)
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
	shims := h.ownShims(t)
	args, _ := os.ReadFile(filepath.Join(shims[0], "cmdline"))
	_, socket, _ := strings.Cut(string(args), "\x00-socket\x00")
	socket, _, _ = strings.Cut(socket, "\x00")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if left := h.ownShims(t); len(shims) != 1 || !slices.Equal(left, shims) {
		t.Errorf("with a sandbox the shims are %v, and without its worker %v", shims, left)
	}
	second := h.open(t)
	if err := second.Remove(t.Context(), "stays"); err != nil {
		t.Error(err)
	}
	within(t, "the shim has ended", func() bool { return len(h.ownShims(t)) == 0 })
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

// shims are the processes of shims in the host's namespace with a link in /proc that ends as given.
func (h host) shims(t *testing.T, link, end string) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		// It may have ended, and then has neither.
		args, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		to, _ := os.Readlink(filepath.Join(process, link))
		if strings.Contains(string(args), "\x00-namespace\x00"+h.config.Namespace+"\x00") && strings.HasSuffix(to, end) {
			found = append(found, process)
		}
	}
	return found
}

// ownShims are the processes of attune-shim that keep the host's sandboxes.
func (h host) ownShims(t *testing.T) (found []string) {
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
