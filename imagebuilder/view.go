package imagebuilder

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/google/uuid"
)

// withView calls look with the path of a stack that is mounted read-only.
func (b *Builder) withView(ctx context.Context, layers stack, look func(root string) error) (err error) {
	key := b.workspaceID("view-" + uuid.NewString())
	mounts, err := b.snapshots().View(ctx, key, layers.chainID())
	if err != nil {
		return fmt.Errorf("view snapshot: %w", err)
	}
	defer func() {
		ctx, cancel := cleanupContext(ctx)
		defer cancel()
		err = errors.Join(err, b.snapshots().Remove(ctx, key))
	}()
	return mount.WithReadonlyTempMount(ctx, mounts, look)
}
