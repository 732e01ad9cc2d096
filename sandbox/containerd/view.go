package containerd

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
)

// viewKey names the one read-only view of an image's layers that all sandboxes of the image share: what is writable in a sandbox
// is not in its root, and each maps the ids of the layers to its own when it mounts them. The records of the containers keep the
// view; with the last of them containerd collects it.
func viewKey(chain string) string { return "attune-view-" + chain }

// view is what to mount for the root of one sandbox. Its record must have been made, or the view may be collected meanwhile.
func (s *container) view(ctx context.Context, chain string, idBase uint32) ([]mount.Mount, error) {
	key := viewKey(chain)
	mounts, err := s.snapshots.Mounts(ctx, key)
	if errdefs.IsNotFound(err) {
		mounts, err = s.snapshots.View(ctx, key, chain)
	}
	if errdefs.IsAlreadyExists(err) {
		mounts, err = s.snapshots.Mounts(ctx, key) // another was faster
	}
	if err != nil {
		return nil, fmt.Errorf("look at the layers of the image: %w", err)
	}
	mapping := fmt.Sprintf("0:%d:%d", idBase, idRangeSize)
	for i := range mounts {
		mounts[i].Options = append(slices.Clone(mounts[i].Options), "uidmap="+mapping, "gidmap="+mapping)
	}
	return mounts, nil
}
