package imagebuilder

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// What a build makes is its lease's. What it finds is not, and containerd may collect it at any time: the image that
// used it may just have been removed. So a build keeps what it finds, and looks again whether it is still there.

// keepContent makes the lease of ctx hold a blob. It reports false where there is none.
func (b *Builder) keepContent(ctx context.Context, blob digest.Digest) (bool, error) {
	return b.keep(ctx, leases.Resource{ID: blob.String(), Type: "content"}, func() error {
		_, err := b.client.ContentStore().Info(ctx, blob)
		return err
	})
}

// keepSnapshot makes the lease of ctx hold a snapshot and those below it. It reports false where there is none.
func (b *Builder) keepSnapshot(ctx context.Context, name string) (bool, error) {
	return b.keep(ctx, leases.Resource{ID: name, Type: "snapshots/" + b.config.Snapshotter}, func() error {
		_, err := b.snapshots().Stat(ctx, name)
		return err
	})
}

func (b *Builder) keep(ctx context.Context, found leases.Resource, look func() error) (bool, error) {
	lease, _ := leases.FromContext(ctx)
	if err := b.client.LeasesService().AddResource(ctx, leases.Lease{ID: lease}, found); err != nil {
		return false, fmt.Errorf("keep %s %s: %w", found.Type, found.ID, err)
	}
	err := look()
	if err != nil && !errdefs.IsNotFound(err) {
		return false, fmt.Errorf("look up %s %s: %w", found.Type, found.ID, err)
	}
	return err == nil, nil
}

// keepTries is more often than what is made again can be collected before it is kept.
const keepTries = 10

// untilKept repeats makeSnapshot, which may find the snapshot instead, until the lease of ctx holds it.
func (b *Builder) untilKept(ctx context.Context, name string, makeSnapshot func() error) error {
	for range keepTries {
		if err := makeSnapshot(); err != nil {
			return err
		}
		if kept, err := b.keepSnapshot(ctx, name); kept || err != nil {
			return err
		}
	}
	return errors.New("snapshot " + name + " is collected again and again")
}
