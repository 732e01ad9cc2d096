package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/archive"
	continuity "github.com/containerd/continuity/fs"
	"golang.org/x/sys/unix"

	"attune"
	"attune/internal/size"
)

// shiftOwners gives the files of an overlay's upper folder the owners that they had in the build container, whose user
// namespace begins at first. No process may still use the folder.
func shiftOwners(upper string, first uint32) error {
	done := map[uint64]bool{} // files with several names
	return filepath.WalkDir(upper, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if isWhiteout(info) || done[stat.Ino] {
			return nil // the kernel makes whiteouts, as the owner of the overlay
		}
		if stat.Uid < first || stat.Gid < first || stat.Uid >= first+idRange || stat.Gid >= first+idRange {
			return fmt.Errorf("%s is owned by %d:%d, from outside the build", path, stat.Uid, stat.Gid)
		}
		done[stat.Ino] = stat.Nlink > 1
		//nolint:gosec // no process is left to race with
		if err := os.Lchown(path, int(stat.Uid-first), int(stat.Gid-first)); err != nil {
			return err
		}
		if stat.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && info.Mode().IsRegular() {
			return unix.Fchmodat(unix.AT_FDCWD, path, stat.Mode&0o7777, 0) // the change of owner clears the bits
		}
		return nil
	})
}

// tarUpper writes an overlay's upper folder as a layer. It does not read the lower folders and follows no link.
func tarUpper(ctx context.Context, w io.Writer, upper string) (err error) {
	layer := archive.NewChangeWriter(w, upper)
	defer func() { err = errors.Join(err, layer.Close()) }()
	return filepath.WalkDir(upper, func(path string, _ fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || path == upper {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name := path[len(upper):]
		switch {
		case isWhiteout(info):
			return layer.HandleChange(continuity.ChangeKindDelete, name, nil, nil)
		case info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe) != 0:
			return fmt.Errorf("%s is a device or a pipe, which no image may hold", name)
		}
		if err := layer.HandleChange(continuity.ChangeKindAdd, name, info, nil); err != nil {
			return err
		}
		if info.IsDir() && isOpaque(path) {
			// The writer adds the prefix that makes this the mark of a folder that hides the one below it.
			return layer.HandleChange(continuity.ChangeKindDelete, name+"/.wh..opq", nil, nil)
		}
		return nil
	})
}

// isWhiteout reports whether an entry of an upper folder marks a removed file.
func isWhiteout(info fs.FileInfo) bool {
	return info.Mode()&fs.ModeCharDevice != 0 && info.Sys().(*syscall.Stat_t).Rdev == 0
}

// isOpaque reports whether a folder of an upper folder hides what lies below it.
func isOpaque(path string) bool {
	value := make([]byte, 1)
	n, err := unix.Lgetxattr(path, "trusted.overlay.opaque", value)
	return err == nil && n == 1 && value[0] == 'y'
}

// checkSize refuses an upper folder whose files have more bytes than limit, or paths that are too long to read. Holes
// count: a layer has them as zeros, and so have the snapshots that are made of it.
func checkSize(upper string, limit int64) error {
	left, done := limit, map[uint64]bool{}
	return filepath.WalkDir(upper, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, unix.ENAMETOOLONG) {
			return attune.Errorf(attune.CodeInvalid, "the dependencies have a path of more than %d bytes", unix.PathMax)
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		if done[stat.Ino] {
			return nil
		}
		done[stat.Ino] = stat.Nlink > 1
		if left -= stat.Size; left < 0 {
			return attune.Errorf(attune.CodeInvalid, "the dependencies have more than %s, the holes in their files included",
				size.Exact(limit))
		}
		return nil
	})
}
