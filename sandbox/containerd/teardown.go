package containerd

import (
	"context"
	"time"
)

// part is something that belongs to a sandbox.
type part int

// The parts of a sandbox, in the order in which they are made.
const (
	noPart part = iota
	partIDs
	partDir
	partNetwork
	partGroup
	partRecord
	partTask
	partWatch

	allParts = partWatch
)

// removals are the steps of a teardown, which runs them in the reverse order, whatever its reason: a sandbox could not
// be made, has ended, or was left by an earlier process. A step succeeds whether its part is there, already removed, or
// was never made.
var removals = [...]func(*container, context.Context) error{
	partIDs:     (*container).releaseIDs,
	partDir:     (*container).removeDir,
	partNetwork: (*container).detachNetwork,
	partGroup:   (*container).removeGroup,
	partRecord:  (*container).deleteRecord,
	partTask:    (*container).endTask,
	partWatch:   (*container).endWatch,
}

// tearDown removes the parts of a sandbox down to one that stays, even when ctx is cancelled. It stops at a step that
// fails, and the next call goes on there. The parts before it stay: the step needs them, and List finds the sandbox by
// them.
func (s *container) tearDown(ctx context.Context, stays part) error {
	ctx = context.WithoutCancel(ctx)
	for ; s.made > stays; s.made-- {
		err := bounded(ctx, func(ctx context.Context) error { return removals[s.made](s, ctx) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *container) releaseIDs(context.Context) error {
	s.ids.release(s.idBase)
	return nil
}

func (s *container) removeDir(context.Context) error { return s.dir.remove() }

func (s *container) detachNetwork(ctx context.Context) error {
	if s.config.Network == nil {
		return nil
	}
	return s.config.Network.Detach(ctx, s.spec.ID)
}

// removeGroup removes the control group. A process may still be in it that is no task of containerd's: the shim died
// while it made the sandbox.
func (s *container) removeGroup(ctx context.Context) error {
	return s.groups.End(ctx, s.config.cgroupPath(s.spec.ID))
}

func (s *container) deleteRecord(ctx context.Context) error {
	return ignoreNotFound(s.records.Delete(ctx, s.spec.ID))
}

// endWatch stops waiting for the end of the process and for its group to run out of memory.
func (s *container) endWatch(context.Context) error {
	if s.stopWaiting != nil {
		s.stopWaiting()
	}
	if s.oom != nil {
		s.oom.Close()
	}
	return nil
}

// bounded runs one step of making or removing a sandbox, for at most stepTimeout.
func bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return step(ctx)
}

const stepTimeout = 60 * time.Second

// maxRetiring bounds the removals in the background. Beyond it, a caller waits for the removal of its own sandbox.
const maxRetiring = 32

// retire removes an ended sandbox in the background, and Close waits for that. The run directory stays until the
// execution is forgotten. Where it fails, Reconcile removes the rest.
func (s *container) retire(life context.Context) {
	remove := func() {
		if err := s.tearDown(life, partDir); err != nil {
			s.log.Error("sandbox left something behind", "sandbox", s.spec.ID, "error", err)
			s.live.Delete(s.spec.ID)
			return
		}
		s.leave(life)
	}
	select {
	case s.retiring <- struct{}{}:
		s.retired.Go(func() {
			defer func() { <-s.retiring }()
			remove()
		})
	default:
		remove()
	}
}

// leave is called twice: when the rest of the sandbox is removed, and when its execution is forgotten. The second call
// removes the run directory.
func (s *container) leave(ctx context.Context) {
	if s.left.Add(1) < 2 {
		return
	}
	if err := s.discard(ctx); err != nil {
		s.log.Error("sandbox left its run directory behind", "sandbox", s.spec.ID, "error", err)
	}
}

// discard removes everything that is left. Where it fails, Reconcile removes the rest.
func (s *container) discard(ctx context.Context) error {
	defer s.live.Delete(s.spec.ID)
	return s.tearDown(ctx, noPart)
}
