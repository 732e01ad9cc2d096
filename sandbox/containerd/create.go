package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"attune/sandbox"
	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/hostcheck"

	"github.com/opencontainers/go-digest"

	"attune"
)

// sandbox is one that has been made and not yet removed.
type container struct {
	*Runtime
	spec  sandbox.Spec
	dir   runDir
	stdio *stdio
	oom   *cgroup.OOMWatch
	// ended tells the end of the process once.
	ended <-chan ending
	// used is set by the first who runs or removes it.
	used atomic.Bool
	// left counts those who are done with it; see leave.
	left atomic.Int32
	// earlier is set when an earlier process made and ran it.
	earlier *earlier
	// removal undoes everything that involves the process, and undo everything.
	removal, undo teardown
}

// Create implements Runtime.
func (c *Runtime) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	if spec.Network == attune.NetworkEgress && c.config.Network == nil {
		return nil, fmt.Errorf("sandbox %s: no egress network: %w", spec.ID, sandbox.ErrUnsupported)
	}
	if spec.Runtime = cmp.Or(spec.Runtime, c.config.Runtime); c.runtimes[spec.Runtime] == "" {
		return nil, fmt.Errorf("sandbox %s: no runtime %s: %w; `attune doctor` says why", spec.ID, spec.Runtime, sandbox.ErrUnsupported)
	}
	// It may have changed since New.
	if err := hostcheck.CorePattern(); err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	// A sandbox that was begun is made to its end: every step has its own time.
	life := context.WithoutCancel(ctx)
	s := &container{Runtime: c, spec: spec, dir: c.runDir(spec.ID)}
	if _, there := c.live.LoadOrStore(spec.ID, s); there {
		return nil, fmt.Errorf("make sandbox %s: it exists", spec.ID)
	}
	err := s.make(life)
	if err == nil {
		err = s.start(life)
	}
	if err != nil {
		return nil, fmt.Errorf("make sandbox %s: %w", spec.ID, errors.Join(err, s.discard(life)))
	}
	return s, nil
}

// Remove implements Sandbox.
func (s *container) Remove(ctx context.Context) error {
	if s.used.Swap(true) {
		return nil
	}
	if err := s.discard(ctx); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", s.spec.ID, err)
	}
	return nil
}

// make takes every step up to a process that is ready to start.
func (s *container) make(ctx context.Context) error {
	chain, err := s.chain(ctx, digest.Digest(s.spec.ImageDigest))
	if err != nil {
		return err
	}
	at := placement{cgroups: s.groups, cgroupPath: s.cgroupPath(s.spec.ID), appArmor: s.appArmor}
	if at.idBase, err = s.ids.take(); err != nil {
		return err
	}
	s.undo.add(func(context.Context) error { s.ids.release(at.idBase); return nil })
	if err := s.dir.create(int(at.idBase) + nobody); err != nil {
		return err
	}
	s.undo.add(func(context.Context) error { return os.RemoveAll(string(s.dir)) })
	s.undo.add(s.removal.run)
	at.result, at.failure, at.collected = s.dir.result(), s.dir.failure(), s.dir.collected()

	if s.spec.Network == attune.NetworkEgress {
		s.removal.add(func(ctx context.Context) error { return s.config.Network.Detach(ctx, s.spec.ID) })
		if at.netns, err = s.config.Network.Attach(ctx, s.spec.ID); err != nil {
			return err
		}
		at.resolvConf = s.config.Network.ResolvConf()
	}
	s.removal.add(func(context.Context) error { return s.groups.Remove(at.cgroupPath) })
	rootfs, err := s.record(ctx, chain, at)
	if err != nil {
		return err
	}
	return s.createTask(ctx, rootfs)
}
