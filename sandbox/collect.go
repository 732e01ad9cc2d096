package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
)

// List implements Runtime. A sandbox is there while containerd has a record of it, or its folder is.
func (c *Containerd) List(ctx context.Context) ([]string, error) {
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
func (c *Containerd) Remove(ctx context.Context, id string) error {
	if err := validID(id); err != nil {
		return err
	}
	record, err := c.records.Get(ctx, id)
	if err == nil && record.Labels[ownerLabel] != c.config.Owner {
		return fmt.Errorf("sandbox %s belongs to another owner", id)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	var undo teardown
	undo.add(func(context.Context) error { return os.RemoveAll(c.runDir(id)) })
	undo.add(func(context.Context) error { return c.dismiss(id) })
	if c.config.Network != nil {
		undo.add(func(ctx context.Context) error { return c.config.Network.Detach(ctx, id) })
	}
	undo.add(func(context.Context) error { return c.groups.remove(c.cgroupPath(id)) })
	undo.add(func(ctx context.Context) error { return ignoreNotFound(c.snapshots.Remove(ctx, id)) })
	undo.add(func(ctx context.Context) error { return ignoreNotFound(c.records.Delete(ctx, id)) })
	undo.add(func(ctx context.Context) error { return c.endTask(ctx, id) })
	if err := undo.run(ctx); err != nil {
		return errors.Join(fmt.Errorf("remove sandbox %s", id), err)
	}
	return nil
}
