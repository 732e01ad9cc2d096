package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"attune/internal/logfile"
	"attune/sandbox"
)

// List implements sandbox.Runtime. A sandbox is there as long as its container record or its run directory is.
func (c *Runtime) List(ctx context.Context) ([]string, error) {
	records, err := c.records.List(ctx, fmt.Sprintf("labels.%q==%q", ownerLabel, c.config.Owner))
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	var ids []string
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	folders, err := os.ReadDir(c.config.runsDir())
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	for _, f := range folders {
		ids = append(ids, f.Name())
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// Remove implements sandbox.Runtime.
func (c *Runtime) Remove(ctx context.Context, id string) error {
	if err := sandbox.ValidateID(id); err != nil {
		return err
	}
	record, err := c.records.Get(ctx, id)
	if err == nil && record.Labels[ownerLabel] != c.config.Owner {
		return fmt.Errorf("sandbox %s belongs to another owner", id)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	if err := c.inherit(id).tearDown(ctx, noPart); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	return nil
}

// Reconcile implements sandbox.Runtime. A sandbox has its run directory before any other part and until no other part
// is left, so List finds all orphans.
func (c *Runtime) Reconcile(ctx context.Context) error {
	ids, err := c.List(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(8)
	for _, id := range ids {
		if _, live := c.live.Load(id); live {
			continue
		}
		c.log.Warn("removing an orphaned sandbox", "sandbox", id)
		group.Go(func() error { return c.Remove(ctx, id) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return errors.Join(c.assignments.settle(), logfile.Bound(c.shim.complaints))
}
