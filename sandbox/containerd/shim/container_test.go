//go:build cgo

package shim

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"attune/sandbox/containerd/shim/deleted"
)

// containerOf is a container that has been made, with a process of the host in place of its own.
func containerOf(t *testing.T, s *service, process *exec.Cmd) *container {
	t.Helper()
	c := newContainer(runtimeRef{root: t.TempDir()}, s.roots, &task.CreateTaskRequest{ID: "some", Bundle: t.TempDir()})
	if err := s.add(c); err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	c.pid = uint32(process.Process.Pid)
	c.made.Store(true)
	go c.reap(process.Process.Wait)
	return c
}

func serviceOf(t *testing.T) *service {
	t.Helper()
	mounted, _ := rootsOf(t)
	return newService(t.TempDir(), mounted)
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]uint32{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		c := containerOf(t, serviceOf(t), exec.CommandContext(t.Context(), "sh", "-c", script))
		<-c.exited
		if c.status != want || c.exitedAt.IsZero() {
			t.Errorf("%s has the status %d, not %d, at %v", script, c.status, want, c.exitedAt)
		}
	}
}

func TestEndThatTheKernelDoesNotReport(t *testing.T) {
	t.Parallel()
	c := newContainer(runtimeRef{}, nil, &task.CreateTaskRequest{ID: "some"})
	c.reap(func() (*os.ProcessState, error) { return nil, os.ErrProcessDone })
	if <-c.exited; c.status != unknownStatus {
		t.Errorf("its status is %d", c.status)
	}
}

// TestDeleteComesAfterTheEnd: a container is started and signaled before its process ends, and deleted after that.
func TestDeleteComesAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	sleeper := exec.CommandContext(t.Context(), "sleep", "infinity")
	c := containerOf(t, s, sleeper)
	if err := c.delete(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("deleted before its end: %v", err)
	}
	c.started.Store(true)
	if err := c.start(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("started twice: %v", err)
	}
	if err := sleeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.exited
	c.started.Store(false)
	if err := c.start(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("started after its end: %v", err)
	}
	if err := c.kill(unix.SIGTERM); !errdefs.IsNotFound(err) {
		t.Errorf("signaled after its end: %v", err)
	}
	if err := c.delete(); err != nil {
		t.Error(err)
	}
}

// TestUnmakeGoesBackwards: each step may need what was made before it. A step that fails stops no other.
func TestUnmakeGoesBackwards(t *testing.T) {
	t.Parallel()
	var done []string
	busy := errors.New("busy")
	step := func(name string, err *error) func() error {
		return func() error {
			if *err == nil {
				done = append(done, name)
			}
			return *err
		}
	}
	fine, failing := error(nil), busy
	c := &container{undo: []func() error{step("root", &fine), step("mount", &failing), step("group", &fine)}}
	if err := c.unmake(); !errors.Is(err, busy) || !slices.Equal(done, []string{"group", "root"}) {
		t.Errorf("%v, did %v", err, done)
	}
	failing = nil
	for range 2 {
		if err := c.unmake(); err != nil || !slices.Equal(done, []string{"group", "root", "mount"}) {
			t.Errorf("%v, did %v", err, done)
		}
	}
}

// TestContainerThatCannotBeMadeLeavesNothing: neither its note, which would have containerd clean up, nor its name.
func TestContainerThatCannotBeMadeLeavesNothing(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	for name, spec := range map[string]string{
		"no specification": "", "not JSON": "{", "no process": `{"root": {"path": "rootfs"}, "linux": {}}`,
		"no sandbox's process": `{"root": {"path": "rootfs"}, "linux": {}, "process": {"terminal": true}}`,
	} {
		bundle := t.TempDir()
		if spec != "" {
			if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(spec), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Create(t.Context(), &task.CreateTaskRequest{ID: "some", Bundle: bundle}); err == nil {
			t.Errorf("%s: it was made", name)
		}
		if _, err := os.Stat(filepath.Join(bundle, deleted.Note)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: its note is left: %v", name, err)
		}
		if !s.empty() {
			t.Errorf("%s: its name is left", name)
		}
	}
}
