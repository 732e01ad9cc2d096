//go:build cgo

package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/containerd/shim/deleted"
)

// container is one sandbox, from Create to Delete.
type container struct {
	id, bundle string
	runtime    runtimeRef
	engine     engine
	roots      *roots
	streams    *streams
	// made: pid is set, and stays.
	made atomic.Bool
	pid  uint32

	// failed: it could not be made, and a step of undo failed too. The sweep takes it from here.
	failed  atomic.Bool
	started atomic.Bool
	// exited is closed when the process has ended; status and exitedAt are set by then.
	exited   chan struct{}
	status   uint32
	exitedAt time.Time

	// deleting lets one caller at a time delete. undo has the steps that remove what was made, in the order of making.
	deleting sync.Mutex
	undo     []func() error
}

func newContainer(runtime runtimeRef, roots *roots, r *task.CreateTaskRequest) *container {
	return &container{
		id: r.ID, bundle: r.Bundle, runtime: runtime, engine: runtime.engine(r.ID, r.Bundle), roots: roots,
		exited:  make(chan struct{}),
		streams: &streams{stdinPath: r.Stdin, stdoutPath: r.Stdout, stderrPath: r.Stderr},
	}
}

// create takes every step up to a process that waits to be started.
func (c *container) create(rootfs []*types.Mount) error {
	err := c.make(rootfs)
	if err != nil {
		return errors.Join(fmt.Errorf("create container %s: %w", c.id, err), c.unmake())
	}
	c.made.Store(true)
	return nil
}

func (c *container) make(rootfs []*types.Mount) error {
	c.undo = append(c.undo, func() error { return ignoreNotExist(os.Remove(filepath.Join(c.bundle, deleted.Note))) })
	if err := c.runtime.leaveNote(c.bundle); err != nil {
		return err
	}
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	if err := c.mountRoot(rootfs, spec.Root.Path); err != nil {
		return err
	}
	c.undo = append(c.undo, c.streams.close)
	uid := hostID(spec.Linux.UIDMappings, spec.Process.User.UID)
	gid := hostID(spec.Linux.GIDMappings, spec.Process.User.GID)
	if err := c.streams.open(uid, gid); err != nil {
		return err
	}
	c.undo = append(c.undo, func() error { return removeGroup(spec.Linux.CgroupsPath) }, c.engine.destroy)
	pid, wait, err := c.engine.create(spec, c.streams.inner)
	if err != nil {
		return err
	}
	c.pid = uint32(pid)
	c.streams.begin()
	go c.reap(wait) // delete waits for it
	return nil
}

// groupTime bounds the removal of a control group, which waits for the end of what is killed in it.
const groupTime = 10 * time.Second

// removeGroup removes what the engine left of a control group. The worker may have looked for it before it was made,
// and does not look again.
func removeGroup(path string) error {
	if path == "" {
		return nil
	}
	groups, err := cgroup.Find(cgroup.Mount)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	return groups.End(ctx, path)
}

// readSpec reads the specification that containerd was given, and makes the path of its root absolute.
func (c *container) readSpec() (*specs.Spec, error) {
	text, err := os.ReadFile(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{}
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, fmt.Errorf("read specification: %w", err)
	}
	if spec.Root == nil || spec.Process == nil || spec.Linux == nil {
		return nil, fmt.Errorf("the specification lacks its root, process or Linux part: %w", errdefs.ErrInvalidArgument)
	}
	if !filepath.IsAbs(spec.Root.Path) {
		spec.Root.Path = filepath.Join(c.bundle, spec.Root.Path)
	}
	return spec, nil
}

// mountRoot binds the root to the bundle: the users inside can pass through the bundle, and not to where roots are.
func (c *container) mountRoot(rootfs []*types.Mount, target string) error {
	mounted, err := c.roots.take(rootfs)
	if err != nil {
		return err
	}
	c.undo = append(c.undo, func() error { c.roots.release(mounted); return nil })
	c.undo = append(c.undo, func() error { return mount.UnmountAll(target, 0) })
	return bind(mounted, target)
}

// unmake undoes what was made, last first. A step that fails stops no other, and is kept for the next call.
func (c *container) unmake() error {
	var errs []error
	var kept []func() error
	for _, step := range slices.Backward(c.undo) {
		if err := step(); err != nil {
			errs, kept = append(errs, err), append(kept, step)
		}
	}
	slices.Reverse(kept)
	c.undo = kept
	return errors.Join(errs...)
}

// ignoreNotExist takes the absence of what is to be removed for success: containerd may have removed the bundle.
func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
