package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"

	"attune"
)

// teardown collects what undoes each step of making a sandbox.
type teardown struct{ steps []func(context.Context) error }

func (t *teardown) add(step func(context.Context) error) { t.steps = append(t.steps, step) }

// run undoes everything, last step first, whatever became of ctx. It ends at a step that fails and keeps it for another
// try: what the earlier steps made still serves, and shows List that there is something left.
func (t *teardown) run(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for len(t.steps) > 0 {
		last := len(t.steps) - 1
		if err := bounded(ctx, t.steps[last]); err != nil {
			return err
		}
		t.steps = t.steps[:last]
	}
	return nil
}

// bounded gives one step its time.
func bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return step(ctx)
}

// Run implements Runtime.
func (c *Containerd) Run(ctx context.Context, spec Spec) (_ Exit, err error) {
	if err := spec.Validate(); err != nil {
		return Exit{}, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	if spec.Network == attune.NetworkEgress && c.config.Network == nil {
		return Exit{}, fmt.Errorf("sandbox %s: this host has no egress network", spec.ID)
	}
	// It may have changed since New.
	if err := checkCorePattern(corePatternFile); err != nil {
		return Exit{}, fmt.Errorf("sandbox %s: %w", spec.ID, err)
	}
	// Making and watching outlive the caller's wish to stop: a sandbox that was begun is taken to its end.
	life := context.WithoutCancel(ctx)
	var undo teardown
	defer func() {
		if left := undo.run(life); left != nil {
			c.log.Error("sandbox left something behind", "sandbox", spec.ID, "error", left)
			err = errors.Join(err, left)
		}
	}()
	made, err := c.create(life, spec, &undo)
	if err != nil {
		return Exit{}, fmt.Errorf("make sandbox %s: %w", spec.ID, err)
	}
	exit, err := made.run(ctx, life)
	if err != nil {
		return Exit{}, fmt.Errorf("run sandbox %s: %w", spec.ID, err)
	}
	// The files are read when nothing can write to them any more.
	if err := made.remove(life); err != nil {
		return Exit{}, fmt.Errorf("remove sandbox %s: %w", spec.ID, err)
	}
	if exit.Result, err = readLimited(made.files.result()); err != nil {
		return Exit{}, err
	}
	if exit.Failure, err = readLimited(made.files.failure()); err != nil {
		return Exit{}, err
	}
	return exit, nil
}

// sandbox is one that has been made and not yet removed.
type sandbox struct {
	*Containerd
	spec  Spec
	files runFiles
	stdio *stdio
	oom   *oomWatch
	// removal undoes everything that involves the process, so that only our own files are left.
	removal *teardown
}

func (s *sandbox) remove(ctx context.Context) error { return s.removal.run(ctx) }

// create takes every step up to a process that is ready to start.
func (c *Containerd) create(ctx context.Context, spec Spec, undo *teardown) (*sandbox, error) {
	chain, err := c.chain(ctx, digest.Digest(spec.ImageDigest))
	if err != nil {
		return nil, err
	}
	at := placement{cgroups: c.groups, cgroupPath: c.cgroupPath(spec.ID)}
	if at.idBase, err = c.ids.take(); err != nil {
		return nil, err
	}
	undo.add(func(context.Context) error { c.ids.release(at.idBase); return nil })

	s := &sandbox{Containerd: c, spec: spec, files: runFiles{c.runDir(spec.ID)}, removal: &teardown{}}
	if err := s.files.create(int(at.idBase) + nobody); err != nil {
		return nil, err
	}
	undo.add(func(context.Context) error { return os.RemoveAll(s.files.dir) })
	undo.add(s.removal.run)
	at.result, at.failure = s.files.result(), s.files.failure()

	if spec.Network == attune.NetworkEgress {
		s.removal.add(func(ctx context.Context) error { return c.config.Network.Detach(ctx, spec.ID) })
		if at.netns, err = c.config.Network.Attach(ctx, spec.ID); err != nil {
			return nil, err
		}
		at.resolvConf = c.config.Network.ResolvConf()
	}
	s.removal.add(func(context.Context) error { return c.groups.remove(at.cgroupPath) })
	rootfs, err := s.record(ctx, chain, at)
	if err != nil {
		return nil, err
	}
	return s, s.createTask(ctx, rootfs)
}

// run starts the process and stays until it and its output have ended.
func (s *sandbox) run(ctx, life context.Context) (Exit, error) {
	// Taken before the call, for the process may have ended before the call has.
	exit := Exit{StartedAt: time.Now()}
	if ctx.Err() != nil {
		exit.Stopped, exit.Code, exit.FinishedAt = true, StoppedCode, exit.StartedAt
		return exit, nil
	}
	ended, err := s.start(life)
	if err != nil {
		return Exit{}, err
	}
	if s.spec.Started != nil {
		s.spec.Started()
	}
	s.stdio.copy(s.spec.Stdout, s.spec.Stderr)
	s.stdio.deliver(s.spec.Stdin, func() {
		// The shim holds the pipe open as well; without this the process would never see the end.
		_ = bounded(life, func(ctx context.Context) error {
			return steadily(ctx, func() error {
				_, err := s.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: s.spec.ID, Stdin: true})
				return err
			})
		})
	})
	status, err := s.watch(ctx, life, ended, &exit)
	s.stdio.endDelivery()
	if err != nil {
		return Exit{}, err
	}
	s.stdio.wait()
	exit.Code, exit.FinishedAt = int(status.ExitStatus), status.ExitedAt.AsTime()
	kills, err := s.groups.oomKills(s.cgroupPath(s.spec.ID))
	if err != nil {
		return Exit{}, err
	}
	exit.OutOfMemory = exit.OutOfMemory || kills > 0
	s.account(&exit)
	return exit, nil
}

const (
	// killPause is the time between two SIGKILLs: containerd may have been away when the first was due.
	killPause = time.Second
	// lostTime is how long a killed process may take to end. One that waits for a device withstands even SIGKILL; then
	// nobody can say that it is gone.
	lostTime = time.Minute
)

var errLost = errors.New("the process did not end after SIGKILL")

// watch waits for the end of the process and hurries it where need be.
func (s *sandbox) watch(ctx, life context.Context, ended <-chan ending, exit *Exit) (*tasks.WaitResponse, error) {
	timeout := time.NewTimer(s.spec.Timeout)
	defer timeout.Stop()
	var grace, lost <-chan time.Time
	stopAsked, timedOut := ctx.Done(), timeout.C
	stop := func(why *bool) {
		*why = true
		stopAsked, timedOut = nil, nil
		s.signal(life, syscall.SIGTERM)
		grace = time.After(s.spec.Grace)
	}
	kill := func() {
		stopAsked, timedOut = nil, nil
		if lost == nil {
			lost = time.After(lostTime)
		}
		s.signal(life, syscall.SIGKILL)
		grace = time.After(killPause)
	}
	for {
		select {
		case e := <-ended:
			return e.status, e.err
		case <-stopAsked:
			stop(&exit.Stopped)
		case <-timedOut:
			stop(&exit.TimedOut)
		case <-grace:
			kill()
		case <-lost:
			return nil, errLost
		case <-s.oom.hit:
			// Our signal may come before the kernel's, and then the kernel counts nothing.
			exit.OutOfMemory = true
			kill()
		}
	}
}

// signal reaches every process of the sandbox for SIGKILL, and the first for anything else. One that has just ended by itself
// cannot be signaled, which is as well.
func (s *sandbox) signal(life context.Context, signal syscall.Signal) {
	err := bounded(life, func(ctx context.Context) error {
		_, err := s.tasks.Kill(ctx, &tasks.KillRequest{
			ContainerID: s.spec.ID, Signal: uint32(signal), All: signal == syscall.SIGKILL,
		})
		return ignoreNotFound(err)
	})
	if err != nil {
		s.log.Warn("signal not delivered", "sandbox", s.spec.ID, "signal", signal, "error", err)
	}
}

// steadyPause keeps a containerd that refuses every call from being asked without end.
const steadyPause = 100 * time.Millisecond

// steadily repeats a question that containerd did not live to answer, until ctx ends: the shims keep the containers, and
// the next containerd finds them.
func steadily(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if !errdefs.IsUnavailable(errgrpc.ToNative(err)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(steadyPause):
		}
	}
}

// ending is what a wait for a process says.
type ending struct {
	status *tasks.WaitResponse
	err    error
}

// start waits before it starts, so that no end can be missed.
func (s *sandbox) start(life context.Context) (<-chan ending, error) {
	waiting, cancel := context.WithCancel(life)
	ended := make(chan ending, 1)
	var waiter sync.WaitGroup
	waiter.Go(func() {
		var e ending
		e.err = steadily(waiting, func() (err error) {
			e.status, err = s.tasks.Wait(waiting, &tasks.WaitRequest{ContainerID: s.spec.ID})
			return err
		})
		ended <- e
	})
	s.removal.add(func(context.Context) error {
		cancel()
		waiter.Wait()
		return nil
	})
	return ended, bounded(life, func(ctx context.Context) error {
		_, err := s.tasks.Start(ctx, &tasks.StartRequest{ContainerID: s.spec.ID})
		return err
	})
}
