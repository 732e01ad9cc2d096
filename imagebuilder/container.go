package imagebuilder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/errdefs"

	"attune"
	"attune/internal/size"
)

// errTimeLimit is the cause of a build that is stopped at its limit. errStepFailed is a step that failed by itself, and
// errNoCompiler one that failed for lack of a compiler.
var (
	errTimeLimit  = errors.New("time limit reached")
	errStepFailed = errors.New("step failed")
	errNoCompiler = fmt.Errorf("%w: no compiler", errStepFailed)
)

// ownerLabel is the label with the owner of containers, leases and images.
const ownerLabel = "attune.dev/builder"

// runContainer runs a container on the workspace until it ends, or kills it when ctx does. When it returns, the
// container is gone; the workspace stays.
func (w *workspace) runContainer(ctx context.Context, id string, spec *oci.Spec, output *stepOutput,
) (_ uint32, err error) {
	container, err := w.b.client.NewContainer(ctx, id,
		containerd.WithSpec(spec),
		containerd.WithContainerLabels(map[string]string{ownerLabel: w.b.owner}),
	)
	if err != nil {
		return 0, fmt.Errorf("create build container: %w", err)
	}
	var task containerd.Task
	defer func() { err = errors.Join(err, removeContainer(ctx, container, task)) }()

	streams := cio.NewCreator(
		cio.WithStreams(nil, output.stream(), output.stream()),
		cio.WithFIFODir(filepath.Join(w.dir, "fifo")),
	)
	if task, err = container.NewTask(ctx, streams, containerd.WithRootFS(w.rootfs)); err != nil {
		return 0, fmt.Errorf("create build task: %w", err)
	}
	// Not on ctx: the exit status must arrive also when ctx ends.
	exited, err := task.Wait(context.WithoutCancel(ctx))
	if err != nil {
		return 0, fmt.Errorf("wait for build task: %w", err)
	}
	if err := task.Start(ctx); err != nil {
		return 0, fmt.Errorf("start build task: %w", err)
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx) // removing the container kills the task
	case status := <-exited:
		task.IO().Wait() // for the last output
		code, _, err := status.Result()
		if err != nil {
			return 0, fmt.Errorf("wait for build task: %w", err)
		}
		return code, nil
	}
}

// removeContainer kills the task of a container, if there is one, and removes both. It returns after the task's output
// has been copied.
func removeContainer(ctx context.Context, container containerd.Container, task containerd.Task) error {
	ctx, cancel := cleanupContext(ctx)
	defer cancel()
	if task != nil {
		if _, err := task.Delete(ctx, containerd.WithProcessKill); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove build task: %w", err)
		}
	}
	if err := container.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove build container: %w", err)
	}
	return nil
}

// cleanupTimeout bounds each step of the cleanup.
const cleanupTimeout = time.Minute

// cleanupContext returns a context for cleanup, which must happen even if ctx has ended.
func cleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}

// outcome translates the end of a step into an error for users, or nil.
func (s step) outcome(status uint32, err error, seen findings, limits BuildLimits) error {
	told := func(cause error, format string, args ...any) error {
		sentence := attune.Errorf(attune.CodeInvalid, s.name+" "+format, args...)
		sentence.Cause = cause
		return sentence
	}
	switch {
	case errors.Is(err, errTimeLimit):
		return told(err, "took longer than the %v that a build may", limits.Time)
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case status == 0:
		return nil
	case status == 128+uint32(syscall.SIGKILL):
		return told(nil, "was killed, most likely for using more memory than the %s that a build may",
			size.Exact(limits.MemoryBytes))
	}
	switch {
	case seen.fullDisk:
		return told(nil, "took more disk space than a build may: %s or %d files", size.Exact(limits.DiskBytes),
			limits.DiskBytes/bytesPerFile)
	case seen.noCompiler && s.reading.compiler != "":
		return told(errNoCompiler, "failed: %s takes a compiler, which the image lacks; add it to pack.yaml as "+
			"dependencies: {system: [%s]}", cmp.Or(seen.subject, "a package"), s.reading.compiler)
	case seen.reason != "":
		return told(errStepFailed, "failed: %s", seen.reason)
	}
	return told(errStepFailed, "failed: exit status %d", status)
}
