package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/opencontainers/image-spec/identity"
)

// TestReconcileCollectsWhatWasBegun plays a worker that dies while it makes the snapshot of a sandbox: there is no record yet.
func TestReconcileCollectsWhatWasBegun(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	if err := os.Mkdir(filepath.Join(h.config.StateDir, "runs", "begun"), 0o700); err != nil {
		t.Fatal(err)
	}
	manager, snapshots := h.client.LeasesService(), h.client.SnapshotService("overlayfs")
	lease, err := manager.Create(t.Context(), leases.WithID("begun"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := h.client.GetImage(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.RootFS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = snapshots.View(leases.WithLease(t.Context(), lease.ID), "begun", identity.ChainID(layers).String(),
		client.WithRemapperLabels(0, 1<<20, 0, 1<<20, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := manager.List(t.Context()); err != nil || len(held) > 0 {
		t.Errorf("leases %v, %v", held, err)
	}
	if _, err := snapshots.Stat(t.Context(), "begun"); err == nil {
		t.Error("its snapshot is left")
	}
	h.subject(runtime).AwaitNone(t)
}

// TestLeaseIsNamedForItsSandbox: by that name it is collected.
func TestLeaseIsNamedForItsSandbox(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	runtime := h.open(t)
	s := h.subject(runtime)
	if _, err := h.client.LeasesService().Create(t.Context(), leases.WithID("taken")); err != nil {
		t.Fatal(err)
	}
	if _, err := runtime.Create(t.Context(), s.Spec("taken", "echo")); err == nil {
		t.Error("a sandbox was made under another name")
	}
	if err := runtime.Remove(t.Context(), "taken"); err != nil {
		t.Fatal(err)
	}
	if exit, _ := look(t, s, s.Spec("taken", "exit", "0")); exit.Code != 0 {
		t.Errorf("once that is gone: %+v", exit)
	}
	if held, err := h.client.LeasesService().List(t.Context()); err != nil || len(held) > 0 {
		t.Errorf("leases %v, %v", held, err)
	}
}
