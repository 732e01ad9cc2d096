//go:build cgo

package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	_ "github.com/opencontainers/cgroups/devices" // device rules of both versions
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune/sandbox/containerd/shim/deleted"
)

// container is one sandbox, from Create to Delete.
type container struct {
	id, bundle, root string
	roots            *roots
	streams          *streams
	// made: runc and pid are set, and stay.
	made atomic.Bool
	runc *libcontainer.Container
	pid  uint32

	started atomic.Bool
	// exited is closed when the process has ended; status and exitedAt are set by then.
	exited   chan struct{}
	status   uint32
	exitedAt time.Time

	// deleting lets one caller at a time delete. undo has the steps that remove what was made, in the order of making.
	deleting sync.Mutex
	undo     []func() error
}

func newContainer(root string, roots *roots, r *task.CreateTaskRequest) *container {
	return &container{
		id: r.ID, bundle: r.Bundle, root: root, roots: roots, exited: make(chan struct{}),
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
	if err := c.leaveNote(); err != nil {
		return err
	}
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	process, err := processOf(spec.Process)
	if err != nil {
		return err
	}
	if err := c.mountRoot(rootfs, spec.Root.Path); err != nil {
		return err
	}
	c.undo = append(c.undo, c.streams.close)
	uid := hostID(spec.Linux.UIDMappings, spec.Process.User.UID)
	gid := hostID(spec.Linux.GIDMappings, spec.Process.User.GID)
	if err := c.streams.open(process, uid, gid); err != nil {
		return err
	}
	return c.makeProcess(spec, process)
}

// leaveNote says where the state of the container is, to the program that cleans up should this one die.
func (c *container) leaveNote() error {
	note := filepath.Join(c.bundle, deleted.RootFile)
	c.undo = append(c.undo, func() error { return ignoreNotExist(os.Remove(note)) })
	return os.WriteFile(note, []byte(c.root), 0o600)
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

// bundleLabel names where runc's command finds the specification, for `runc exec`. The library takes the working
// directory for it.
const bundleLabel = "bundle="

// makeProcess has runc's library make the container and its process, which waits to be started.
func (c *container) makeProcess(spec *specs.Spec, process *libcontainer.Process) error {
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: c.id, Spec: spec})
	if err != nil {
		return err
	}
	isBundle := func(label string) bool { return strings.HasPrefix(label, bundleLabel) }
	config.Labels = append(slices.DeleteFunc(config.Labels, isBundle), bundleLabel+c.bundle)
	if c.runc, err = libcontainer.Create(c.root, c.id, config); err != nil {
		return err
	}
	c.undo = append(c.undo, c.runc.Destroy)
	if err := c.runc.Start(process); err != nil {
		return err
	}
	c.streams.begin()
	pid, err := process.Pid()
	if err != nil {
		return err
	}
	c.pid = uint32(pid)
	go c.reap(process.Wait) // delete waits for it
	return nil
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
