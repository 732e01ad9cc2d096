package imagebuilder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/rootfs"
	"github.com/containerd/errdefs"
	"github.com/google/uuid"

	"attune/internal/cleanup"
)

// scratchDirs are folders of the container that do not become part of the layer. Each is a folder of the workspace.
var scratchDirs = map[string]string{
	"tmp":    "/tmp",
	"vartmp": "/var/tmp",
	"lists":  "/var/lib/apt/lists",
	"cache":  "/var/cache/apt",
	"log":    "/var/log",
	"output": outputDir,
}

// workspace is a writable copy of a stack in which steps run, and which can become a layer.
type workspace struct {
	b     *Builder
	id    string
	below stack
	// dir is the workspace's folder on the host; upper is the snapshot's folder with the changes.
	dir, upper string
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
	for name := range scratchDirs {
		if err := w.makeScratch(name); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(w.inputs(), 0o700); err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	mounts, err := b.snapshots().Prepare(ctx, w.id, below.chainID(),
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
	for _, option := range mounts[0].Options {
		if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
			w.upper = upper
		}
	}
	if w.upper == "" {
		return nil, fmt.Errorf("snapshotter %s does not make overlays", b.config.Snapshotter)
	}
	return w, nil
}

// workspaceID is the name of a workspace's folder, snapshot, containers, control groups and network.
func (b *Builder) workspaceID(unique string) string { return "build-" + b.owner[:8] + "-" + unique }

func (w *workspace) makeScratch(name string) error {
	dir := filepath.Join(w.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("open workspace: %w", err)
	}
	if strings.HasSuffix(name, "tmp") {
		if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
			return fmt.Errorf("open workspace: %w", err)
		}
	}
	if err := os.Chown(dir, firstID, firstID); err != nil {
		return fmt.Errorf("open workspace: %w", err)
	}
	return nil
}

// inputs is the folder that is mounted as inputsDir, read-only; output is the one mounted as outputDir.
func (w *workspace) inputs() string { return filepath.Join(w.dir, "inputs") }
func (w *workspace) output() string { return filepath.Join(w.dir, "output") }

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
	output := newStepOutput(log, s.isComplaint)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.watchDisk(ctx, cancel)
	}()
	status, err := w.b.runContainer(ctx, w.id, id, spec, output)
	output.end()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	<-watched
	return s.outcome(status, err, output)
}

func (w *workspace) confinement(id string, s step) confinement {
	c := confinement{id: id, limits: w.b.config.Limits, limitSwap: w.b.limitSwap}
	for name, target := range scratchDirs {
		c.binds = append(c.binds, bind(filepath.Join(w.dir, name), target, "rw"))
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

// watchDisk ends the build when it exceeds its disk limit.
func (w *workspace) watchDisk(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if diskUsage(w.upper, w.dir) > w.b.config.Limits.DiskBytes {
				cancel(errDiskLimit)
				return
			}
		}
	}
}

// commit turns what the steps changed into a layer and its snapshot. The workspace can only be closed afterwards.
func (w *workspace) commit(ctx context.Context, tags map[string]string) (stack, error) {
	if diskUsage(w.upper) > w.b.config.Limits.DiskBytes {
		return nil, errDiskLimit
	}
	if err := shiftOwners(w.upper, firstID); err != nil {
		return nil, fmt.Errorf("take over the layer's files: %w", err)
	}
	layer, err := w.b.writeLayer(ctx, tags, func(out io.Writer) error { return tarUpper(ctx, out, w.upper) })
	if err != nil {
		return nil, err
	}
	return w.commitSnapshot(ctx, layer)
}

func (w *workspace) commitSnapshot(ctx context.Context, layer rootfs.Layer) (stack, error) {
	result := w.below.with(layer)
	err := w.b.untilKept(ctx, result.chainID(), func() error {
		if err := w.b.snapshots().Commit(ctx, result.chainID(), w.id); !errdefs.IsAlreadyExists(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("commit snapshot: %w", err)
	}
	return result, nil
}
