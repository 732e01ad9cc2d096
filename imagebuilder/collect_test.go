package imagebuilder

import (
	"context"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/leases"
)

// TestBuildWhileGarbageIsCollected: whatever is removed meanwhile, a build finds what it has made, or reused.
func TestBuildWhileGarbageIsCollected(t *testing.T) {
	t.Parallel()
	b := ownBuilder(t, nil)
	ctx, stop := context.WithCancel(b.context(t.Context()))
	defer stop()
	var collecting sync.WaitGroup
	collecting.Go(func() {
		for ctx.Err() == nil {
			if err := collectNow(ctx, b); err != nil && ctx.Err() == nil {
				t.Errorf("collect: %v", err)
				return
			}
		}
	})
	defer collecting.Wait()
	defer stop()
	var building sync.WaitGroup
	for _, ref := range []string{"one", "two"} {
		building.Go(func() {
			for i := range 12 {
				p := newPack(ref, map[string]string{
					"requirements.txt": "greeter==1.5\n", "wheels/greeter-1.5-py3-none-any.whl": wheel(t, "greeter", "1.5"),
				})
				if _, log, err := build(t, b, p); err != nil {
					t.Errorf("build %s %d: %v\n%s", ref, i, err, log)
				}
			}
		})
	}
	building.Wait()
}

// collectNow removes all images of the builder, and lets containerd collect what nothing refers to.
func collectNow(ctx context.Context, b *Builder) error {
	if err := b.Collect(ctx, nil); err != nil {
		return err
	}
	manager := b.client.LeasesService()
	lease, err := manager.Create(ctx, leases.WithRandomID())
	if err != nil {
		return err
	}
	return manager.Delete(ctx, lease, leases.SynchronousDelete)
}
