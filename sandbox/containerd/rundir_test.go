package containerd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"attune/sandbox"
)

// someRunDir is a run directory, until the test ends.
func someRunDir(t *testing.T) runDir {
	t.Helper()
	dir := runDir(filepath.Join(t.TempDir(), "run-1"))
	t.Cleanup(func() {
		if err := dir.remove(); err != nil {
			t.Error(err)
		}
	})
	if err := dir.create(firstHostID + nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRunIsNoPartOfTheDisk: what a sandbox leaves for the host is in memory, bounded in bytes and files.
func TestRunIsNoPartOfTheDisk(t *testing.T) {
	t.Parallel()
	dir := someRunDir(t)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir.run(), &fs); err != nil {
		t.Fatal(err)
	}
	const flags = unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
	if fs.Type != unix.TMPFS_MAGIC || fs.Flags&flags != flags ||
		fs.Blocks*uint64(fs.Bsize) != sandbox.MaxLeftBytes || fs.Files != sandbox.MaxLeftFiles {
		t.Errorf("it is %+v", fs)
	}
	fill := filepath.Join(string(dir), sandbox.OutputDir, "fill")
	if err := os.WriteFile(fill, make([]byte, 2*sandbox.MaxLeftBytes), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("it takes twice its size: %v", err)
	}
	failure, err := os.OpenFile(filepath.Join(string(dir), sandbox.FailurePath), os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = failure.Write(bytes.Repeat([]byte("x"), failureReserve))
		err = errors.Join(err, failure.Close())
	}
	if err != nil {
		t.Errorf("a failure has no room when all is full: %v", err)
	}
	for range 2 {
		if err := dir.remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(string(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
