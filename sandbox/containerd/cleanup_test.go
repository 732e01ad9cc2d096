package containerd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestReconcileCollectsWhatWasBegun plays a worker that dies before it has made the snapshot of a sandbox.
func TestReconcileCollectsWhatWasBegun(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	if err := os.Mkdir(filepath.Join(h.config.StateDir, "runs", "begun"), 0o700); err != nil {
		t.Fatal(err)
	}
	spec, err := typeurl.MarshalAny(&specs.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	records := h.client.ContainerService()
	_, err = records.Create(t.Context(), containers.Container{
		ID: "begun", Labels: map[string]string{"attune.owner": h.config.Owner}, Spec: spec,
		Runtime: containers.RuntimeInfo{Name: "io.containerd.runc.v2"}, Snapshotter: "overlayfs", SnapshotKey: "begun",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Get(t.Context(), "begun"); err == nil {
		t.Error("its record is left")
	}
	h.subject(runtime).AwaitNone(t)
}

// TestSandboxesAreNoGarbage has containerd collect while a sandbox waits, which no lease keeps, and when it is gone.
func TestSandboxesAreNoGarbage(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	s := h.subject(runtime)
	made, err := runtime.Create(t.Context(), s.Spec("waits", "echo"))
	if err != nil {
		t.Fatal(err)
	}
	if held, err := h.client.LeasesService().List(t.Context()); err != nil || len(held) > 0 {
		t.Errorf("leases %v, %v", held, err)
	}
	record, err := h.client.ContainerService().Get(t.Context(), "waits")
	if err != nil {
		t.Fatal(err)
	}
	h.collect(t)
	layers := h.client.SnapshotService("overlayfs")
	if _, err := layers.Stat(t.Context(), record.SnapshotKey); err != nil {
		t.Error(err)
	}
	if exit, err := made.Run(t.Context(), s.Input("waits")); err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	runtime.Forget("waits")
	s.AwaitNone(t)
	h.collect(t)
	if _, err := layers.Stat(t.Context(), record.SnapshotKey); !errdefs.IsNotFound(err) {
		t.Errorf("the view of the layers is left: %v", err)
	}
	if exit, err := s.Run(t.Context(), s.Spec("another", "echo"), s.Input("another")); err != nil || exit.Code != 0 {
		t.Errorf("afterwards: %+v, %v", exit, err)
	}
}

// collect has containerd collect its garbage at once.
func (h host) collect(t *testing.T) {
	t.Helper()
	manager := h.client.LeasesService()
	lease, err := manager.Create(t.Context(), leases.WithRandomID())
	if err == nil {
		err = manager.Delete(t.Context(), lease, leases.SynchronousDelete)
	}
	if err != nil {
		t.Fatal(err)
	}
}
