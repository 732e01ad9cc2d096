package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"attune/sandbox"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"
)

// List implements Runtime. A sandbox is there while containerd has a record of it, or its folder is.
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

// Remove implements Runtime. It takes the steps of a sandbox's end, each of which may find its work done.
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

// Reconcile implements Runtime. Every sandbox has its folder before it has anything else, and until nothing else is left, but
// for a stray shim.
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
		c.log.Warn("removing a sandbox that nobody owns", "sandbox", id)
		group.Go(func() error { return c.Remove(ctx, id) })
	}
	if err := errors.Join(group.Wait(), c.endStrayShims()); err != nil {
		return err
	}
	return c.assignments.settle()
}
