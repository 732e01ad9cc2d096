package disk_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"attune/internal/disk"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	roomy := mounted(t, "size=256m,nr_inodes=10000")
	for name, c := range map[string]struct{ folder, want string }{
		"room":          {roomy, ""},
		"few bytes":     {mounted(t, "size=16m,nr_inodes=10000"), "16 MiB left"},
		"few inodes":    {mounted(t, "size=256m,nr_inodes=100"), "files, less than 4096"},
		"nothing there": {filepath.Join(roomy, "none"), "no such file"},
	} {
		err := disk.Check(roomy, c.folder)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for i := range 9000 { // inodes are used up while bytes are left
		if err := os.WriteFile(filepath.Join(roomy, strconv.Itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.Check(roomy); err == nil {
		t.Error("without inodes there is room")
	}
}

func mounted(t *testing.T, options string) string {
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
