package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/google/uuid"

	"attune"
	"attune/internal/cleanup"
)

// scratchDirs are folders of the container that do not become part of the layer. Each is a folder of the disk.
var scratchDirs = map[string]string{
	"tmp":    "/tmp",
	"vartmp": "/var/tmp",
	"lists":  "/var/lib/apt/lists",
	"cache":  "/var/cache/apt",
	"log":    "/var/log",
	"output": outputDir,
}

// writableDirs are the folders of the disk, with their modes: those of the overlay and the scratch folders.
var writableDirs = map[string]fs.FileMode{
	"upper": 0o755, "work": 0o711,
	"tmp": 0o777 | fs.ModeSticky, "vartmp": 0o777 | fs.ModeSticky,
	"lists": 0o755, "cache": 0o755, "log": 0o755, "output": 0o755,
}

// workspace is a writable copy of a stack in which steps run, and which can become a layer.
type workspace struct {
	b     *Builder
	id    string
	below stack
	// dir is the workspace's folder on the host. All that steps write is on the disk.
	dir  string
	disk *disk
	// rootfs is the overlay of the stack and the disk.
	rootfs     []mount.Mount
	netns      string
	resolvConf string
	steps      int
	opened     cleanup.Stack
}

// openWorkspace prepares a workspace. The caller must close it.
func (b *Builder) openWorkspace(ctx context.Context, below stack) (_ *workspace, err error) {
	w := &workspace{b: b, id: b.workspaceID(uuid.NewString()[:8]), below: below}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(ctx))
		}
	}()
	w.dir = filepath.Join(b.config.WorkDir, w.id)
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	w.opened.AddClose(func() error { return os.RemoveAll(w.dir) })
	if w.disk, err = openDisk(ctx, w.dir, b.config.Limits.DiskBytes); err != nil {
		return nil, err
	}
	w.opened.AddClose(w.disk.close)
	for name, mode := range writableDirs {
		if err := w.makeWritable(name, mode); err != nil {
			return nil, fmt.Errorf("open workspace: %w", err)
		}
	}
	if err := os.Mkdir(w.inputs(), 0o700); err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	w.rootfs, err = b.snapshots().Prepare(ctx, w.id, below.chainID(),
		containerd.WithRemapperLabels(0, firstID, 0, firstID, idRange))
	if err != nil {
		return nil, fmt.Errorf("prepare snapshot: %w", err)
	}
	w.opened.Add(func(ctx context.Context) error {
		if err := b.snapshots().Remove(ctx, w.id); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove snapshot: %w", err)
		}
		return nil
	})
	return w, w.writeToDisk()
}

// writeToDisk makes the overlay's changes go to the disk instead of the snapshot, which has no limit.
func (w *workspace) writeToDisk() error {
	overlay := &w.rootfs[0]
	own := func(option string) bool {
		return strings.HasPrefix(option, "upperdir=") || strings.HasPrefix(option, "workdir=")
	}
	if !slices.ContainsFunc(overlay.Options, own) {
		return fmt.Errorf("snapshotter %s does not make overlays", w.b.config.Snapshotter)
	}
	overlay.Options = append(slices.DeleteFunc(overlay.Options, own),
		"upperdir="+w.onDisk("upper"), "workdir="+w.onDisk("work"))
	return nil
}

// workspaceID is the name of a workspace's folder, snapshot, containers, control groups and network.
func (b *Builder) workspaceID(unique string) string { return "build-" + b.owner[:8] + "-" + unique }

// makeWritable makes a folder of the disk that belongs to the container's root.
func (w *workspace) makeWritable(name string, mode fs.FileMode) error {
	dir := w.onDisk(name)
	return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode), os.Chown(dir, firstID, firstID))
}

// onDisk is the path of a folder of the disk.
func (w *workspace) onDisk(name string) string { return filepath.Join(w.disk.root, name) }

// inputs is the folder that is mounted as inputsDir, read-only; output is the one mounted as outputDir.
func (w *workspace) inputs() string { return filepath.Join(w.dir, "inputs") }
func (w *workspace) output() string { return w.onDisk("output") }

// close removes the workspace, even if ctx has ended.
func (w *workspace) close(ctx context.Context) error { return w.opened.Run(ctx, cleanupTimeout) }

// run runs a step. Its output goes to log.
func (w *workspace) run(ctx context.Context, s step, log io.Writer) error {
	if s.online && w.netns == "" {
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	w.steps++
	id := fmt.Sprintf("%s-%d", w.id, w.steps)
	spec, err := buildSpec(w.b.config.Namespace, s, w.confinement(id, s))
	if err != nil {
		return fmt.Errorf("specify build container: %w", err)
	}
	output := newStepOutput(log, s.reading)
	status, err := w.runContainer(ctx, id, spec, output)
	output.end()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	seen := output.seen()
	if seen.fullDisk && w.disk.hostIsFull() {
		return attune.Errorf(attune.CodeUnavailable,
			"%s failed: the worker's disk is full; make room and install again", s.name)
	}
	return s.outcome(status, err, seen, w.b.config.Limits)
}

func (w *workspace) confinement(id string, s step) confinement {
	c := confinement{id: id, limits: w.b.config.Limits, limitSwap: w.b.limitSwap}
	for name, target := range scratchDirs {
		c.binds = append(c.binds, bind(w.onDisk(name), target, "rw"))
	}
	c.binds = append(c.binds,
		bind(w.inputs(), inputsDir, "ro"),
		bind(w.b.config.CABundle, caBundle, "ro", "noexec"),
	)
	if s.online {
		c.netns = w.netns
		c.binds = append(c.binds, bind(w.resolvConf, "/etc/resolv.conf", "ro", "noexec"))
	}
	return c
}

// commit turns what the steps changed into a layer and its snapshot. The workspace can only be closed afterwards.
func (w *workspace) commit(ctx context.Context, tags map[string]string) (stack, error) {
	upper := w.onDisk("upper")
	if err := w.disk.sync(); err != nil {
		return nil, err
	}
	if err := checkSize(upper, w.b.config.Limits.DiskBytes); err != nil {
		return nil, err
	}
	if err := shiftOwners(upper, firstID); err != nil {
		return nil, fmt.Errorf("take over the layer's files: %w", err)
	}
	layer, err := w.b.writeLayer(ctx, tags, func(out io.Writer) error { return tarUpper(ctx, out, upper) })
	if err != nil {
		return nil, err
	}
	return w.b.apply(ctx, w.below, layer)
}
