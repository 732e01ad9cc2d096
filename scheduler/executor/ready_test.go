package executor

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullDiskIsNotReady(t *testing.T) {
	t.Parallel()
	h := setup(t, exits(0))
	roomy := h.Logs
	if !h.Ready() {
		t.Error("with room on the disk it is not ready")
	}
	for _, options := range []string{"size=16m", "size=256m,nr_inodes=1000"} {
		dir := mountTmpfs(t, options)
		h.Logs = h.openLogs(t, dir)
		if h.Ready() {
			t.Errorf("it is ready with a spool on a full disk of %s", options)
		}
		h.Logs, h.StateDir = roomy, dir
		if h.Ready() {
			t.Errorf("it is ready with sandboxes on a full disk of %s", options)
		}
		h.StateDir = t.TempDir()
		if !h.Ready() {
			t.Error("it does not recover by itself")
		}
	}
}

func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
