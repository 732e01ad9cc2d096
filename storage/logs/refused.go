package logs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// refusedFolder holds the spool files that can never be stored: object storage refuses the object, or the file has no
// whole header. A person may look at them there.
const refusedFolder = "refused"

// maxRefused and maxRefusedBytes bound the folder. The oldest files make room.
const (
	maxRefused      = 1000
	maxRefusedBytes = 256 << 20
)

// setAside moves a spool file, which the caller has taken, to the folder refused and reports it. It is not tried again.
func (l *Store) setAside(path string, why error) error {
	folder := filepath.Join(l.spool, refusedFolder)
	aside := filepath.Join(folder, filepath.Base(path))
	l.refusing.Lock()
	defer l.refusing.Unlock()
	err := os.Rename(path, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set aside what cannot be stored: %w", err)
	}
	slog.Error("a part of an execution cannot be stored; it is set aside", "file", aside, "error", why)
	return makeRoom(folder)
}

// makeRoom removes the oldest files of a folder until it is within its bounds. Names begin with the time.
func makeRoom(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("bound what is set aside: %w", err)
	}
	var bytes int64
	for i := len(entries) - 1; i >= 0; i-- {
		path := filepath.Join(folder, entries[i].Name())
		bytes += diskBytes(path)
		if len(entries)-i <= maxRefused && bytes <= maxRefusedBytes {
			continue
		}
		slog.Error("too much is set aside; the oldest file is removed", "file", path)
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("bound what is set aside: %w", err)
		}
	}
	return nil
}

// diskBytes is what a file takes of the disk; it may have a hole.
func diskBytes(path string) int64 {
	var stat syscall.Stat_t
	if syscall.Lstat(path, &stat) != nil {
		return 0
	}
	return cmp.Or(stat.Blocks, 1) * 512
}
