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
	"syscall"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	_ "github.com/opencontainers/cgroups/devices" // device rules of both versions
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"attune/sandbox/containerd/shim/deleted"
)

// container is one sandbox, from Create to Delete.
type container struct {
	id, bundle, root string
	roots            *roots
	streams          *streams
	// made: what stands below is set, and stays.
	made atomic.Bool
	runc *libcontainer.Container
	pid  uint32

	started atomic.Bool
	// exited is closed when the process has ended; status and exitedAt are set by then.
	exited   chan struct{}
	status   uint32
	exitedAt time.Time

	// deleting lets one at a time delete; undo removes what was made, last first.
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
	// Whoever cleans up after a dead shim needs to know it.
	note := filepath.Join(c.bundle, deleted.RootFile)
	c.undo = append(c.undo, func() error { return ignoreNotExist(os.Remove(note)) })
	if err := os.WriteFile(note, []byte(c.root), 0o600); err != nil {
		return err
	}
	spec, err := c.readSpec()
	if err != nil {
		return err
	}
	mounted, err := c.roots.take(rootfs)
	if err != nil {
		return err
	}
	c.undo = append(c.undo, func() error { c.roots.giveBack(mounted); return nil })
	c.undo = append(c.undo, func() error { return mount.UnmountAll(spec.Root.Path, 0) })
	// The users inside can pass through the bundle, and not to where it is mounted.
	if err := bind(mounted, spec.Root.Path); err != nil {
		return err
	}
	process, err := processOf(spec.Process)
	if err != nil {
		return err
	}
	c.undo = append(c.undo, c.streams.close)
	if err := c.streams.open(process, hostID(spec.Linux.UIDMappings, spec.Process.User.UID), hostID(spec.Linux.GIDMappings, spec.Process.User.GID)); err != nil {
		return err
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{CgroupName: c.id, Spec: spec})
	if err != nil {
		return err
	}
	config.Labels = slices.DeleteFunc(config.Labels, func(label string) bool { return strings.HasPrefix(label, bundleLabel) })
	config.Labels = append(config.Labels, bundleLabel+c.bundle)
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
	go c.reap(process)
	return nil
}

// bundleLabel names where runc's command finds the specification, for `runc exec`. The library takes the working directory for it.
const bundleLabel = "bundle="

// unmake undoes what was made, last first. What cannot be undone is kept for another try, and stops nothing else.
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

// readSpec reads what containerd was given for the container, and names its root file system from everywhere.
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

// ignoreNotExist takes the absence of what is to be removed for success: containerd may have removed the bundle.
func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (c *container) start() error {
	// Runc's library would wait for it in a thread that it never takes back.
	select {
	case <-c.exited:
		return fmt.Errorf("the process of container %s ended before it was started: %w", c.id, errdefs.ErrFailedPrecondition)
	default:
	}
	if c.started.Swap(true) {
		return fmt.Errorf("container %s has been started: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	if err := c.runc.Exec(); err != nil {
		return fmt.Errorf("start container %s: %w", c.id, err)
	}
	return nil
}

// unknownStatus is that of a process whose end the kernel does not tell; containerd says the same.
const unknownStatus = 255

// exitStatus adds 128 to the number of the signal that ended a process, as shells do.
func exitStatus(status syscall.WaitStatus) uint32 {
	if status.Signaled() {
		return 128 + uint32(status.Signal())
	}
	return uint32(status.ExitStatus())
}

// reap notes the end of the process.
func (c *container) reap(process *libcontainer.Process) {
	state, _ := process.Wait() // the error says no more than the state
	c.exitedAt, c.status = time.Now(), unknownStatus
	if state != nil {
		c.status = exitStatus(state.Sys().(syscall.WaitStatus))
	}
	close(c.exited)
}

func (c *container) kill(signal unix.Signal) error {
	select {
	case <-c.exited:
		return fmt.Errorf("the process of container %s has ended: %w", c.id, errdefs.ErrNotFound)
	default:
	}
	err := c.runc.Signal(signal)
	if errors.Is(err, libcontainer.ErrNotRunning) || errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("the process of container %s has ended: %w", c.id, errdefs.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("signal container %s: %w", c.id, err)
	}
	return nil
}

func (c *container) delete() error {
	select {
	case <-c.exited:
	default:
		return fmt.Errorf("the process of container %s has not ended: %w", c.id, errdefs.ErrFailedPrecondition)
	}
	c.deleting.Lock()
	defer c.deleting.Unlock()
	if err := c.unmake(); err != nil {
		return fmt.Errorf("delete container %s: %w", c.id, err)
	}
	return nil
}
