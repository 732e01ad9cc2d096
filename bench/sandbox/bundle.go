package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/opencontainers/runtime-spec/specs-go"

	"attune/sandbox"
)

// bundle is what runc needs to run one at a time.
type bundle struct {
	peer    *peer
	dir, id string
}

// document is what the runner reads from stdin.
const document = `{"secrets": {}, "parameters": {"n": 1},
	"execution": {"id": "bench", "action": "bench.py", "attempt": 1, "env": {}}}`

// bundles makes n bundles out of a sandbox that waits for an execution of a file.
func (p *peer) bundles(ctx context.Context, file, name string, n int) ([]*bundle, error) {
	found, err := p.waiting(ctx, file)
	if err != nil {
		return nil, err
	}
	all := make([]*bundle, n)
	for i := range all {
		name := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, "_", "-"), i)
		if all[i], err = p.newBundle(ctx, found[0], name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// newBundle makes a bundle out of a sandbox that waits. What differs are the names of its folders and groups, and that
// it has its share of the processor from the start, as a sandbox has that is used.
func (p *peer) newBundle(ctx context.Context, c containers.Container, name string) (*bundle, error) {
	spec, err := specOf(c)
	if err != nil {
		return nil, err
	}
	b := &bundle{peer: p, dir: filepath.Join(p.dir, name), id: "bench-" + name}
	rootfs := filepath.Join(b.dir, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return nil, err
	}
	base := spec.Linux.UIDMappings[0].HostID
	if err := p.mountImage(ctx, c.SnapshotKey, b.id, rootfs, base); err != nil {
		return nil, err
	}
	spec.Linux.CgroupsPath, spec.Linux.Resources.CPU.Shares = "/"+groupParent+"/"+b.id, nil
	if err := b.shareFiles(spec.Mounts, int(base)+nobody); err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(filepath.Join(b.dir, "config.json"), text, 0o600)
}

// shareFiles gives a bundle the files that a sandbox shares with the host, in a folder of its own.
func (b *bundle) shareFiles(mounts []specs.Mount, owner int) error {
	for i, m := range mounts {
		if m.Type == "bind" {
			mounts[i].Source = filepath.Join(b.dir, m.Destination)
		}
	}
	for _, path := range []string{sandbox.ResultPath, sandbox.FailurePath} {
		path = filepath.Join(b.dir, path)
		err := errors.Join(
			os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o600), os.Chown(path, owner, owner),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// mountImage mounts a view of the image that a sandbox's snapshot is one of.
func (p *peer) mountImage(ctx context.Context, snapshot, name, rootfs string, base uint32) error {
	snapshots := p.client.SnapshotService("overlayfs")
	info, err := snapshots.Stat(ctx, snapshot)
	if err != nil {
		return err
	}
	ctx, release, err := p.client.WithLease(ctx)
	if err != nil {
		return err
	}
	background := context.WithoutCancel(ctx)
	p.undo = append(p.undo, func() error { return release(background) })
	mounts, err := snapshots.View(ctx, name, info.Parent, client.WithRemapperLabels(0, base, 0, base, 1<<16))
	if err != nil {
		return err
	}
	p.undo = append(p.undo, func() error { return snapshots.Remove(background, name) })
	if err := mount.All(mounts, rootfs); err != nil {
		return err
	}
	p.undo = append(p.undo, func() error { return mount.UnmountAll(rootfs, 0) })
	return nil
}

// run is one `runc run`, with the document on stdin, to its end.
func (b *bundle) run(ctx context.Context) error {
	state := filepath.Join(b.peer.dir, "state")
	command := exec.CommandContext(ctx, b.peer.runc, "--root", state, "run", "--bundle", b.dir, b.id)
	command.Stdin = strings.NewReader(document)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("runc run: %w: %s", err, said)
	}
	return nil
}
