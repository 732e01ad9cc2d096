package imagebuilder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"

	"attune/images"
)

// Builder builds images and keeps them. Its methods may be called concurrently.
type Builder struct {
	config Config
	client *containerd.Client
	// owner is the label of everything that belongs to the builder; it stays the same across restarts.
	owner     string
	limitSwap bool

	// definition is the base image's, and runnersSum names the content of its uppermost layer.
	definition images.Base
	runnersSum string

	// baseMu is held while the base image is looked for, and made.
	baseMu sync.Mutex
}

// New connects to containerd and removes what a builder that was killed left in the work folder.
func New(ctx context.Context, config Config) (_ *Builder, err error) {
	config, err = config.withDefaults()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{config.WorkDir, config.CacheDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("image builder: %w", err)
		}
	}
	if config.WorkDir, err = filepath.Abs(config.WorkDir); err != nil {
		return nil, fmt.Errorf("image builder: %w", err)
	}
	definition, err := images.Default(runtime.GOARCH)
	if err != nil {
		return nil, fmt.Errorf("image builder: %w", err)
	}
	runners := sha256.New()
	if err := tarRunners(runners, definition); err != nil {
		return nil, fmt.Errorf("image builder: %w", err)
	}
	client, err := containerd.New(config.Address, containerd.WithDefaultNamespace(config.Namespace))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", config.Address, err)
	}
	b := &Builder{
		config:     config,
		client:     client,
		owner:      hashOf(config.WorkDir),
		limitSwap:  canLimitSwap(),
		definition: definition,
		runnersSum: hex.EncodeToString(runners.Sum(nil)),
	}
	if err := b.sweep(b.context(ctx)); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Close ends the connection to containerd. Images stay.
func (b *Builder) Close() error { return b.client.Close() }

// context names the containerd namespace for all calls made with it.
func (b *Builder) context(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, b.config.Namespace)
}

func (b *Builder) snapshots() snapshots.Snapshotter {
	return b.client.SnapshotService(b.config.Snapshotter)
}

// lease keeps containerd's garbage collector away from everything made under the returned context, until done is
// called. It expires after a day, in case the process dies before it calls done.
func (b *Builder) lease(ctx context.Context) (_ context.Context, done func() error, err error) {
	ctx = b.context(ctx)
	manager := b.client.LeasesService()
	lease, err := manager.Create(ctx, leases.WithRandomID(), leases.WithExpiration(24*time.Hour),
		leases.WithLabels(map[string]string{ownerLabel: b.owner}))
	if err != nil {
		return nil, nil, fmt.Errorf("create lease: %w", err)
	}
	done = func() error {
		ctx, cancel := cleanupContext(ctx)
		defer cancel()
		if err := manager.Delete(ctx, lease); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("delete lease: %w", err)
		}
		return nil
	}
	return leases.WithLease(ctx, lease.ID), done, nil
}

// sweep removes what an earlier builder with the same work folder left.
func (b *Builder) sweep(ctx context.Context) error {
	mine := fmt.Sprintf("labels.%q==%s", ownerLabel, b.owner)
	containers, err := b.client.Containers(ctx, mine)
	if err != nil {
		return fmt.Errorf("list build containers: %w", err)
	}
	for _, container := range containers {
		task, err := container.Task(ctx, nil)
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("find build task: %w", err)
		}
		if err := removeContainer(ctx, container, task); err != nil {
			return err
		}
	}
	// Snapshots and content that only a lease held go with it.
	manager := b.client.LeasesService()
	held, err := manager.List(ctx, mine)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, lease := range held {
		if err := manager.Delete(ctx, lease); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("delete lease: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(b.config.WorkDir, "build-*"))
	if err != nil {
		return fmt.Errorf("list build folders: %w", err)
	}
	if len(containers)+len(held)+len(left) > 0 {
		b.config.Log.Info("removed what an interrupted build left", "containers", len(containers), "leases", len(held),
			"folders", len(left))
	}
	for _, dir := range left {
		if b.config.Network != nil {
			if err := b.config.Network.Detach(ctx, filepath.Base(dir)); err != nil {
				return err
			}
		}
		if err := unmountDisk(dir); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove build folder: %w", err)
		}
	}
	return b.endOrphanedShims()
}

// canLimitSwap reports whether the kernel counts swap; version 1 of cgroups does so only with a boot parameter.
func canLimitSwap() bool {
	_, v2 := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	_, v1 := os.Stat("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
	return v1 == nil || v2 == nil
}
