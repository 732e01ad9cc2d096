package executor

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestFullDiskIsNotReady(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h := setup(t, exits(0))
	if !h.Ready() {
		t.Error("with room on the disk it is not ready")
	}
	h.Logs = h.openLogs(t, dir)
	if h.Ready() {
		t.Error("it is ready on a full disk")
	}
}
