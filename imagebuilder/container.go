package imagebuilder

import (
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
)

// errDiskLimit and errTimeLimit are the causes with which a build is stopped for its limits; errStepFailed is that of a
// step that ended by itself.
var (
	errStepFailed = errors.New("step failed")
	errDiskLimit  = errors.New("disk limit reached")
	errTimeLimit  = errors.New("time limit reached")
)

// ownerLabel marks containers, leases and images with the builder that they belong to.
const ownerLabel = "attune.dev/builder"

// runContainer runs a container on a snapshot until it ends, or kills it when ctx does. When it returns, the container
// is gone; the snapshot stays.
func (b *Builder) runContainer(ctx context.Context, snapshot, id string, spec *oci.Spec, output *tail) (_ uint32, err error) {
	container, err := b.client.NewContainer(ctx, id,
		containerd.WithSnapshotter(b.config.Snapshotter),
		containerd.WithSnapshot(snapshot),
		containerd.WithSpec(spec),
		containerd.WithContainerLabels(map[string]string{ownerLabel: b.owner}),
	)
	if err != nil {
		return 0, fmt.Errorf("create build container: %w", err)
	}
	var task containerd.Task
	defer func() { err = errors.Join(err, removeContainer(ctx, container, task)) }()

	streams := cio.NewCreator(
		cio.WithStreams(nil, output.stream(), output.stream()),
		cio.WithFIFODir(filepath.Join(b.config.WorkDir, snapshot, "fifo")),
	)
	if task, err = container.NewTask(ctx, streams); err != nil {
		return 0, fmt.Errorf("create build task: %w", err)
	}
	// Not on ctx: the end must be learned also when ctx is what ends it.
	exited, err := task.Wait(context.WithoutCancel(ctx))
	if err != nil {
		return 0, fmt.Errorf("wait for build task: %w", err)
	}
	if err := task.Start(ctx); err != nil {
		return 0, fmt.Errorf("start build task: %w", err)
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx) // and the task is killed when the container is removed
	case status := <-exited:
		task.IO().Wait() // what it printed last
		code, _, err := status.Result()
		if err != nil {
			return 0, fmt.Errorf("wait for build task: %w", err)
		}
		return code, nil
	}
}

// removeContainer kills the task of a container, where there is one, and removes both. When it returns, the task's output
// has been copied.
func removeContainer(ctx context.Context, container containerd.Container, task containerd.Task) error {
	ctx, cancel := cleanUp(ctx)
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

// cleanupTimeout bounds each step of cleaning up.
const cleanupTimeout = time.Minute

// cleanUp is a context for what has to be done although ctx may have ended.
func cleanUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
}

// outcome turns the end of a step into an error that a person can read, or nil.
func (s step) outcome(status uint32, err error, output *tail) error {
	told := func(cause error, format string, args ...any) error {
		sentence := attune.Errorf(attune.CodeInvalid, s.name+" "+format, args...)
		sentence.Cause = cause
		return sentence
	}
	switch {
	case errors.Is(err, errDiskLimit):
		return told(err, "took more disk space than a build may")
	case errors.Is(err, errTimeLimit):
		return told(err, "took longer than a build may")
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case status == 0:
		return nil
	case status == 128+uint32(syscall.SIGKILL):
		return told(nil, "was killed, most likely for using more memory than a build may")
	}
	reason := output.reason()
	if reason == "" {
		reason = fmt.Sprintf("exit status %d", status)
	}
	return told(errStepFailed, "failed: %s", reason)
}
