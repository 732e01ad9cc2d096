//go:build cgo

package shim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

const (
	// keepMounted is how long an idle root stays mounted.
	keepMounted = 30 * time.Second
	// maxIdle bounds how many idle roots there are.
	maxIdle = 64
)

// roots are the root file systems of containers. A root is an image's layers, with their ids mapped to those of one
// container. It is read-only, so the next container with that image and those ids takes it as it is, and finds in the
// kernel's memory what the one before had looked up. To mount it anew would cost more than that.
type roots struct {
	dir string
	// mount and unmount are those of the kernel.
	mount   func(rootfs []*types.Mount, target string) error
	unmount func(path string) error

	mu      sync.Mutex
	mounted map[string]*root
	idle    int
}

type root struct {
	path string
	// users is how many containers have it: mostly one, as no two have the same ids at a time. But a container may come
	// before the end of the one before it is known here.
	users int
	// idle unmounts it, while it has no user.
	idle *time.Timer
}

func newRoots(dir string) *roots {
	return &roots{dir: dir, mount: mountAll, unmount: unmount, mounted: make(map[string]*root)}
}

// take mounts a root unless it is mounted, and returns where.
func (r *roots) take(mounts []*types.Mount) (string, error) {
	key := rootKey(mounts)
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.mounted[key]
	if found == nil {
		found = &root{path: filepath.Join(r.dir, key)}
		if err := r.mount(mounts, found.path); err != nil {
			return "", errors.Join(err, r.unmount(found.path))
		}
		r.mounted[key] = found
	}
	if found.idle != nil {
		found.idle.Stop()
		found.idle = nil
		r.idle--
	}
	found.users++
	return found.path, nil
}

// release is called once for each take.
func (r *roots) release(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := filepath.Base(path)
	found := r.mounted[key]
	if found.users--; found.users > 0 {
		return
	}
	keep := keepMounted
	if r.idle >= maxIdle {
		keep = 0
	}
	r.idle++
	found.idle = time.AfterFunc(keep, func() { r.unmountIdle(key, found) })
}

// unmountIdle unmounts a root unless it was taken meanwhile. A root that cannot be unmounted stays for the next take.
func (r *roots) unmountIdle(key string, found *root) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mounted[key] != found || found.users > 0 {
		return
	}
	if err := r.unmount(found.path); err != nil {
		fmt.Fprintln(os.Stderr, "attune-shim: a root stays mounted:", err)
		return
	}
	delete(r.mounted, key)
	r.idle--
}

// close unmounts everything, when there is no container.
func (r *roots) close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, found := range r.mounted {
		if found.idle != nil {
			found.idle.Stop()
		}
		err = errors.Join(err, r.unmount(found.path))
	}
	return errors.Join(err, os.Remove(r.dir))
}

// unmount does not wait for a process that still looks at the root: it cannot write there.
func unmount(path string) error {
	return errors.Join(mount.UnmountAll(path, unix.MNT_DETACH), ignoreNotExist(os.Remove(path)))
}

func rootKey(mounts []*types.Mount) string {
	sum := sha256.New()
	for _, m := range mounts {
		fmt.Fprintf(sum, "%q %q %q %q\n", m.Type, m.Source, m.Target, m.Options)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// bind mounts a root at a second path.
func bind(root, target string) error {
	if err := os.Mkdir(target, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Mount(root, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind root file system: %w", err)
	}
	return nil
}

func mountAll(rootfs []*types.Mount, target string) error {
	if err := os.MkdirAll(target, 0o711); err != nil {
		return err
	}
	mounts := make([]mount.Mount, len(rootfs))
	for i, m := range rootfs {
		mounts[i] = mount.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options}
	}
	if err := mount.All(mounts, target); err != nil {
		return fmt.Errorf("mount root file system: %w", err)
	}
	return nil
}
