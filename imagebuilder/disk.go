package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// bytesPerFile is how many bytes of a build's disk come with the right to one file.
const bytesPerFile = 8 << 10

// disk is a filesystem of its own for all that a build writes. The kernel bounds it in bytes and files, whatever a
// build does with them: also those that are unlinked and still open.
type disk struct {
	// root is the folder where it is mounted.
	root string
	// handle is open from the start, so that no failed write escapes sync.
	handle *os.File
}

// openDisk makes a filesystem in a sparse file of the folder, and mounts it there. The caller must close it.
func openDisk(ctx context.Context, dir string, bytes int64) (_ *disk, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make the build's disk: %w", err), unmountDisk(dir))
		}
	}()
	image, root := filepath.Join(dir, "disk.img"), filepath.Join(dir, "disk")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, bytes), os.Mkdir(root, 0o711)); err != nil {
		return nil, err
	}
	// Neither journal nor barriers: after a crash, the disk is thrown away. Tables of files are written when used.
	format := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-i", strconv.Itoa(bytesPerFile),
		"-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard", image)
	if complaint, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkfs.ext4, of Debian's package e2fsprogs: %w: %s", err, strings.TrimSpace(string(complaint)))
	}
	ext4 := mount.Mount{Type: "ext4", Source: image, Options: []string{
		"loop", "nodev", "noatime", "barrier=0", "noinit_itable", "errors=remount-ro",
	}}
	if err := ext4.Mount(root); err != nil {
		return nil, err
	}
	handle, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	return &disk{root: root, handle: handle}, nil
}

// sync fails when not all that the build has written is there: the host's disk may be full.
func (d *disk) sync() error {
	if err := unix.Syncfs(int(d.handle.Fd())); err != nil {
		return fmt.Errorf("write the build's files to the host's disk: %w", err)
	}
	return nil
}

// hostIsFull reports whether the disk could not grow to its size.
func (d *disk) hostIsFull() bool {
	const full = 16 << 20
	var host unix.Statfs_t
	err := unix.Statfs(filepath.Dir(d.root), &host)
	return err == nil && host.Bavail*uint64(host.Bsize) < full
}

// close unmounts the disk. Its loop device goes with the last use.
func (d *disk) close() error {
	return errors.Join(d.handle.Close(), unmountDisk(filepath.Dir(d.root)))
}

// unmountDisk unmounts the disk in a build's folder, if there is one.
func unmountDisk(dir string) error {
	if err := mount.UnmountAll(filepath.Join(dir, "disk"), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the build's disk: %w", err)
	}
	return nil
}
