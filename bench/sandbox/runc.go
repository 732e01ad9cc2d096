package main

import (
	"bytes"
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
)

// nobody is the user inside a sandbox.
const nobody = 65534

// peer runs what a sandbox of Attune runs, from the same specification and image, by runc alone. The file systems are mounted
// ahead; runc's time is that of its process.
type peer struct {
	runc, dir string
	client    *client.Client
	undo      []func() error
}

func openPeer(runc, dir, containerd string) (*peer, error) {
	c, err := client.New(containerd, client.WithDefaultNamespace("attune"))
	if err != nil {
		return nil, err
	}
	return &peer{runc: runc, dir: dir, client: c, undo: []func() error{c.Close, removeGroups}}, nil
}

// groupParent is the control group that runc's are made below; runc removes its own only.
const groupParent = "attune-bench"

func removeGroups() error {
	version1, err := filepath.Glob("/sys/fs/cgroup/*/" + groupParent)
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range append(version1, "/sys/fs/cgroup/"+groupParent) {
		if err := os.Remove(group); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *peer) close() error {
	var errs []error
	for i := len(p.undo) - 1; i >= 0; i-- {
		errs = append(errs, p.undo[i]())
	}
	return errors.Join(errs...)
}

// waiting finds the sandboxes that wait for an execution of an action's file.
func (p *peer) waiting(ctx context.Context, file string) (found []containers.Container, err error) {
	all, err := p.client.ContainerService().List(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		spec, err := specOf(c)
		if err == nil && strings.HasPrefix(c.ID, "warm-") && spec.Process.Args[len(spec.Process.Args)-1] == "actions/"+file {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no sandbox waits for %s", file)
	}
	return found, nil
}

func specOf(c containers.Container) (spec specs.Spec, err error) {
	return spec, json.Unmarshal(c.Spec.GetValue(), &spec)
}

// bundle is what runc needs to run one at a time.
type bundle struct {
	peer     *peer
	dir, id  string
	document []byte
}

// newBundle makes a bundle out of a sandbox that waits. What differs are the names of its places, and that it has its share
// of the processor from the start, as one has that is used.
func (p *peer) newBundle(ctx context.Context, c containers.Container, name string) (*bundle, error) {
	spec, err := specOf(c)
	if err != nil {
		return nil, err
	}
	b := &bundle{peer: p, dir: filepath.Join(p.dir, name), id: "bench-" + name,
		document: []byte(`{"secrets":{},"parameters":{"n":1},"execution":{"id":"bench","action":"bench.py","attempt":1,"env":{}}}`)}
	rootfs := filepath.Join(b.dir, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return nil, err
	}
	base := spec.Linux.UIDMappings[0].HostID
	if err := p.mountImage(ctx, c.SnapshotKey, b.id, rootfs, base); err != nil {
		return nil, err
	}
	spec.Linux.CgroupsPath, spec.Linux.Resources.CPU.Shares = "/"+groupParent+"/"+b.id, nil
	for i, m := range spec.Mounts {
		if m.Type != "bind" {
			continue
		}
		spec.Mounts[i].Source = filepath.Join(b.dir, filepath.Base(m.Destination))
		if err := os.WriteFile(spec.Mounts[i].Source, nil, 0o600); err != nil {
			return nil, err
		}
		if err := os.Chown(spec.Mounts[i].Source, int(base)+nobody, int(base)+nobody); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(filepath.Join(b.dir, "config.json"), text, 0o600)
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
	command := exec.CommandContext(ctx, b.peer.runc, "--root", filepath.Join(b.peer.dir, "state"), "run", "--bundle", b.dir, b.id)
	command.Stdin = bytes.NewReader(b.document)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("runc run: %w: %s", err, said)
	}
	return nil
}
