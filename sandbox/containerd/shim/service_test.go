//go:build cgo

package shim

import (
	"context"
	"os/exec"
	"testing"

	"github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
)

func TestServiceFollowsAContainer(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	process := exec.CommandContext(t.Context(), "sleep", "infinity")
	c := containerOf(t, s, process)
	state := func(want tasktypes.Status) {
		t.Helper()
		got, err := s.State(t.Context(), &task.StateRequest{ID: c.id})
		if err != nil || got.Status != want || got.Pid != c.pid {
			t.Errorf("its state is %v, %v, not %v", got, err, want)
		}
	}
	state(tasktypes.Status_CREATED)
	c.started.Store(true)
	state(tasktypes.Status_RUNNING)

	late, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Wait(late, &task.WaitRequest{ID: c.id}); err == nil {
		t.Error("the end was reported before it came")
	}
	if _, err := s.Delete(t.Context(), &task.DeleteRequest{ID: c.id}); err == nil || s.empty() {
		t.Errorf("deleted before its end: %v", err)
	}
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if end, err := s.Wait(t.Context(), &task.WaitRequest{ID: c.id}); err != nil || end.ExitStatus != 137 {
		t.Errorf("its end is %v, %v", end, err)
	}
	state(tasktypes.Status_STOPPED)
	if end, err := s.Delete(t.Context(), &task.DeleteRequest{ID: c.id}); err != nil || end.ExitStatus != 137 {
		t.Errorf("deleted: %v, %v", end, err)
	}
	s.waitEmpty()
}

func TestServiceKnowsOnlyWhatWasMade(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	if err := s.add(newContainer(runtimeRef{}, s.roots, &task.CreateTaskRequest{ID: "begun"})); err != nil {
		t.Fatal(err)
	}
	again := newContainer(runtimeRef{}, s.roots, &task.CreateTaskRequest{ID: "begun"})
	if err := s.add(again); !errdefs.IsAlreadyExists(err) {
		t.Errorf("a second of the same name: %v", err)
	}
	for _, id := range []string{"begun", "never"} {
		_, stateErr := s.State(t.Context(), &task.StateRequest{ID: id})
		_, killErr := s.Kill(t.Context(), &task.KillRequest{ID: id, Signal: 9})
		_, deleteErr := s.Delete(t.Context(), &task.DeleteRequest{ID: id})
		for _, err := range []error{stateErr, killErr, deleteErr} {
			if !errdefs.IsNotFound(errgrpc.ToNative(err)) {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
}

// TestSweepRemovesOrphans: containerd removes the bundle of a container that it has given up, and asks for no more.
func TestSweepRemovesOrphans(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	c := containerOf(t, s, exec.CommandContext(t.Context(), "true"))
	<-c.exited
	if found := s.orphans(); len(found) != 0 {
		t.Errorf("%v are orphans while they have their bundles", found)
	}
	c.bundle += "-removed"
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan struct{})
	go func() { s.sweep(ctx); close(swept) }()
	s.waitEmpty()
	cancel()
	<-swept
}

// TestSweepRemovesTheRestOfWhatCouldNotBeMade: containerd asks for nothing after a creation that failed.
func TestSweepRemovesTheRestOfWhatCouldNotBeMade(t *testing.T) {
	t.Parallel()
	s := serviceOf(t)
	c := newContainer(runtimeRef{}, s.roots, &task.CreateTaskRequest{ID: "some"})
	tries := 0
	c.undo = []func() error{func() error {
		if tries++; tries < 2 {
			return unix.EBUSY
		}
		return nil
	}}
	if err := s.add(c); err != nil {
		t.Fatal(err)
	}
	c.failed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan struct{})
	go func() { s.sweep(ctx); close(swept) }()
	s.waitEmpty()
	cancel()
	<-swept
	if tries != 2 {
		t.Errorf("it was removed after %d tries", tries)
	}
}
