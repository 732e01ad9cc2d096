package containerd

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
)

// viewKey names the read-only view of an image's layers, which all sandboxes of the image share. They can: nothing in a
// sandbox's root is writable, and each maps the ids of the layers to its own when it mounts them. The container records
// keep the view, and containerd removes it after the last of them.
func viewKey(chain string) string { return "attune-view-" + chain }

// view returns what to mount as the root of a sandbox. The sandbox's record must be there, to keep the view.
func (s *container) view(ctx context.Context, chain string, idBase uint32) ([]mount.Mount, error) {
	key := viewKey(chain)
	mounts, err := s.snapshots.Mounts(ctx, key)
	if errdefs.IsNotFound(err) {
		mounts, err = s.snapshots.View(ctx, key, chain)
	}
	if errdefs.IsAlreadyExists(err) {
		mounts, err = s.snapshots.Mounts(ctx, key) // another sandbox was faster
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
