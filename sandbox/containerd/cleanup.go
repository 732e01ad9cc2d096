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
	undo := c.remains(id)
	if err := undo.run(ctx); err != nil {
		return errors.Join(fmt.Errorf("remove sandbox %s", id), err)
	}
	return nil
}

// remains undoes what another process has made.
func (c *Runtime) remains(id string) *teardown {
	undo := c.folder(id)
	undo.steps = append(undo.steps, c.outside(id).steps...)
	return undo
}

// folder is the last thing of a sandbox to go.
func (c *Runtime) folder(id string) *teardown {
	undo := &teardown{}
	undo.add(func(context.Context) error { return os.RemoveAll(string(c.runDir(id))) })
	return undo
}

// outside is all that a sandbox has outside its folder.
func (c *Runtime) outside(id string) *teardown {
	undo := &teardown{}
	if c.config.Network != nil {
		undo.add(func(ctx context.Context) error { return c.config.Network.Detach(ctx, id) })
	}
	undo.add(func(context.Context) error { return c.groups.Remove(c.cgroupPath(id)) })
	undo.add(func(ctx context.Context) error { return ignoreNotFound(c.records.Delete(ctx, id)) })
	undo.add(func(context.Context) error { return c.endKeepers(id) })
	undo.add(func(ctx context.Context) error {
		// A full pipe holds up the end.
		if stdio, err := openOutputs(c.runDir(id)); err == nil {
			stdio.copy(nil, nil)
			defer stdio.abandon()
		}
		return c.endTask(ctx, id)
	})
	return undo
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
