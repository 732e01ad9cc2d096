package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"attune"
	"attune/sandbox"
	"attune/sandbox/containerd/cgroup"
	"attune/sandbox/hostcheck"
)

// container is a sandbox, from before its first part is made until its last part is removed.
type container struct {
	*Runtime
	spec sandbox.Spec
	dir  runDir
	// made is the last part that may be there.
	made part
	// idBase is the id on the host of the sandbox's root.
	idBase uint32
	stdio  *stdio
	oom    *cgroup.OOMWatch
	// ended delivers the end of the process, once; stopWaiting gives up on that.
	ended       <-chan ending
	stopWaiting func()
	// used is set by the first call of Run or Remove.
	used atomic.Bool
	// left counts the calls of leave.
	left atomic.Int32
	// inherited: an earlier process made the sandbox. earlier is what that process noted of its run.
	inherited bool
	earlier   *earlier
}

// inherit returns a sandbox that an earlier process made. All of its parts may be there.
func (c *Runtime) inherit(id string) *container {
	return &container{Runtime: c, spec: sandbox.Spec{ID: id}, dir: c.config.runDir(id), made: allParts, inherited: true}
}

// Create implements sandbox.Runtime.
func (c *Runtime) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	if spec.Network == attune.NetworkEgress && c.config.Network == nil {
		return nil, fmt.Errorf("sandbox %s: no egress network: %w", spec.ID, sandbox.ErrUnsupported)
	}
	if spec.Runtime = cmp.Or(spec.Runtime, c.config.Runtime); c.runtimes[spec.Runtime] == "" {
		return nil, fmt.Errorf("sandbox %s: no runtime %s: %w; `attune doctor` says why",
			spec.ID, spec.Runtime, sandbox.ErrUnsupported)
	}
	if asked := spec.Resources.OpenFiles; spec.Runtime == attune.RuntimeRunc && asked > c.openFiles {
		return nil, fmt.Errorf("sandbox %s: %d open files: %w, which allows %d; raise the worker's limit (ulimit -n)",
			spec.ID, asked, sandbox.ErrUnsupported, c.openFiles)
	}
	// The pattern may have changed since New.
	if err := hostcheck.CorePattern(); err != nil {
		return nil, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	// From here on the sandbox is made to its end, even when the caller gives up. Each step has its own time.
	life := context.WithoutCancel(ctx)
	s := &container{Runtime: c, spec: spec, dir: c.config.runDir(spec.ID)}
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

// Remove implements sandbox.Sandbox.
func (s *container) Remove(ctx context.Context) error {
	if s.used.Swap(true) {
		return nil
	}
	if err := s.discard(ctx); err != nil {
		return fmt.Errorf("remove sandbox %s: %w", s.spec.ID, err)
	}
	return nil
}

// make makes every part, up to a process that is ready to start.
func (s *container) make(ctx context.Context) error {
	chain, err := s.chain(ctx, digest.Digest(s.spec.ImageDigest))
	if err != nil {
		return err
	}
	at := placement{cgroups: s.groups, cgroupPath: s.config.cgroupPath(s.spec.ID), appArmor: s.appArmor}
	if s.idBase, err = s.ids.take(); err != nil {
		return err
	}
	at.idBase, s.made = s.idBase, partIDs
	if err := s.dir.create(int(s.idBase) + nobody); err != nil {
		return err
	}
	s.made = partDir
	at.run = s.dir.run()

	s.made = partNetwork // Attach may leave something behind when it fails
	if s.spec.Network == attune.NetworkEgress {
		if at.netns, err = s.config.Network.Attach(ctx, s.spec.ID); err != nil {
			return err
		}
		// Nothing that waits for its execution reaches anything; begin connects it.
		if err := s.config.Network.Disconnect(s.spec.ID); err != nil {
			return err
		}
		at.resolvConf = s.config.Network.ResolvConf()
	}
	s.made = partGroup // the container runtime makes it
	rootfs, err := s.record(ctx, chain, at)
	if err != nil {
		return err
	}
	return s.createTask(ctx, rootfs)
}
