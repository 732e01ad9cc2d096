// Package disk reports whether file systems have room for more work.
package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"attune/internal/size"
)

// MinBytes and MinInodes must be left of a file system. On a full disk an execution would lose its log.
const (
	MinBytes  = 128 << 20
	MinInodes = 4096
)

// Check returns nil while the file systems of all folders have room. Its error names the folders that have none.
func Check(folders ...string) error {
	var full []error
	for _, folder := range folders {
		full = append(full, check(folder))
	}
	return errors.Join(full...)
}

func check(folder string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", folder, err)
	}
	left := int64(stat.Bavail) * stat.Bsize
	if left < MinBytes {
		return fmt.Errorf("the disk of %s has %s left, less than %s", folder, size.About(left), size.Exact(MinBytes))
	}
	// Some file systems, such as btrfs, make inodes as they need them, and count none.
	if stat.Files > 0 && stat.Ffree < MinInodes {
		return fmt.Errorf("the disk of %s has room for %d files, less than %d", folder, stat.Ffree, MinInodes)
	}
	return nil
}
