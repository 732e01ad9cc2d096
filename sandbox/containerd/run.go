package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"attune/sandbox"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
)

// Run implements Sandbox.
func (s *container) Run(ctx context.Context, in sandbox.Input) (sandbox.Exit, error) {
	if err := in.Validate(); err != nil {
		return sandbox.Exit{}, fmt.Errorf("sandbox %s: %w", s.spec.ID, err)
	}
	if s.used.Swap(true) {
		return sandbox.Exit{}, fmt.Errorf("sandbox %s has been used", s.spec.ID)
	}
	// A sandbox that was begun is taken to its end, also when the caller wishes to stop.
	life := context.WithoutCancel(ctx)
	exit, err := s.run(ctx, life, in)
	if err != nil {
		return sandbox.Exit{}, fmt.Errorf("run sandbox %s: %w", s.spec.ID, errors.Join(err, s.discard(life)))
	}
	s.retire(life)
	return exit, nil
}

// run takes the sandbox to its end; nothing of it runs any more when it returns an Exit.
func (s *container) run(ctx, life context.Context, in sandbox.Input) (sandbox.Exit, error) {
	if s.earlier != nil && s.earlier.exit != nil {
		exit := *s.earlier.exit
		return exit, s.readFiles(&exit)
	}
	exit, err := s.begin(ctx, life, in)
	if err != nil {
		return exit, err
	}
	if exit.Stopped {
		return exit, s.tearDown(life, partDir)
	}
	status, err := s.watch(ctx, life, in, &exit)
	s.stdio.endDelivery()
	if err != nil {
		return exit, err
	}
	s.stdio.wait()
	exit.Code, exit.FinishedAt = int(status.ExitStatus), status.ExitedAt.AsTime()
	if exit.FinishedAt.Before(exit.StartedAt) {
		exit.FinishedAt = exit.StartedAt // it did not wait for its document
	}
	if s.earlier != nil && exit.FinishedAt.Before(exit.StartedAt.Add(in.Timeout)) {
		exit.TimedOut = false // it had ended in time, and nobody was there to see it
	}
	return exit, s.collect(life, &exit)
}

// begin gives the sandbox its document, unless it has it, and reads what it prints. Stopped says that the caller did not
// want it any more.
func (s *container) begin(ctx, life context.Context, in sandbox.Input) (exit sandbox.Exit, err error) {
	if s.earlier != nil {
		exit.StartedAt = s.earlier.StartedAt
		s.stdio.copy(in.Stdout, in.Stderr)
		return exit, nil
	}
	exit.StartedAt = time.Now()
	if err := s.assign(assignment{Sandbox: s.spec.ID, Execution: in.Execution, StartedAt: exit.StartedAt}); err != nil {
		return exit, err
	}
	if ctx.Err() != nil {
		exit.Stopped, exit.Code, exit.FinishedAt = true, sandbox.StoppedCode, exit.StartedAt
		return exit, nil
	}
	if s.spec.Ahead {
		if err := s.groups.SetFullWeight(s.cgroupPath(s.spec.ID)); err != nil {
			return exit, err
		}
	}
	if in.Started != nil {
		in.Started()
	}
	s.stdio.copy(in.Stdout, in.Stderr)
	s.stdio.deliver(in.Stdin, func(err error) { s.endDocument(life, err) })
	return exit, nil
}

// endDocument lets the process see the end of its document: the shim holds the pipe open as well. Where it was not written
// wholly, nobody read on, and how the process ended tells more about that.
func (s *container) endDocument(life context.Context, written error) {
	err := bounded(life, func(ctx context.Context) error {
		return steadily(ctx, func() error {
			_, err := s.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: s.spec.ID, Stdin: true})
			return err
		})
	})
	if written == nil && err == nil {
		err = os.WriteFile(s.dir.delivered(), nil, 0o600)
	}
	if err != nil {
		s.log.Warn("the end of the document was not told", "sandbox", s.spec.ID, "error", err)
	}
}

// collect reads what an ended sandbox left: counters while its group is there, files when nothing can write to them.
func (s *container) collect(life context.Context, exit *sandbox.Exit) error {
	path := s.cgroupPath(s.spec.ID)
	kills, err := s.groups.OOMKills(path)
	if err != nil {
		return err
	}
	exit.OutOfMemory = exit.OutOfMemory || kills > 0
	s.account(exit)
	// The end of its first process takes the pid namespace with it, so this is so but for errors of the host.
	if empty, err := s.groups.Empty(path); err != nil || !empty {
		if err := s.tearDown(life, partDir); err != nil {
			return err
		}
	}
	if err := s.dir.keepExit(*exit); err != nil {
		return err
	}
	return s.readFiles(exit)
}

// readFiles reads what only the sandbox could write, when it is gone.
func (s *container) readFiles(exit *sandbox.Exit) (err error) {
	if exit.Result, err = readLimited(s.dir.result()); err != nil {
		return err
	}
	if exit.Failure, err = readLimited(s.dir.failure()); err != nil {
		return err
	}
	exit.Outputs, err = readOutputs(s.dir.collected())
	return err
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
func (s *container) watch(ctx, life context.Context, in sandbox.Input, exit *sandbox.Exit) (*tasks.WaitResponse, error) {
	timeout := time.NewTimer(time.Until(exit.StartedAt.Add(in.Timeout)))
	defer timeout.Stop()
	var grace, lost <-chan time.Time
	stopAsked, timedOut := ctx.Done(), timeout.C
	stop := func(why *bool) {
		*why = true
		stopAsked, timedOut = nil, nil
		s.signal(life, syscall.SIGTERM)
		grace = time.After(in.Grace)
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
		case e := <-s.ended:
			return e.status, e.err
		case <-stopAsked:
			stop(&exit.Stopped)
		case <-timedOut:
			stop(&exit.TimedOut)
		case <-grace:
			kill()
		case <-lost:
			return nil, errLost
		case <-s.oom.Hit:
			// Our signal may come before the kernel's, and then the kernel counts nothing.
			exit.OutOfMemory = true
			kill()
		}
	}
}

// signal reaches every process of the sandbox for SIGKILL, and the first for anything else. One that has just ended by itself
// cannot be signaled, which is as well.
func (s *container) signal(life context.Context, signal syscall.Signal) {
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
func (s *container) start(life context.Context) error {
	s.await(life)
	return bounded(life, func(ctx context.Context) error {
		_, err := s.tasks.Start(ctx, &tasks.StartRequest{ContainerID: s.spec.ID})
		return err
	})
}

// await begins to wait for the end of the process.
func (s *container) await(life context.Context) {
	waiting, cancel := context.WithCancel(life)
	ended := make(chan ending, 1)
	s.ended = ended
	var waiter sync.WaitGroup
	waiter.Go(func() {
		var e ending
		e.err = steadily(waiting, func() (err error) {
			e.status, err = s.tasks.Wait(waiting, &tasks.WaitRequest{ContainerID: s.spec.ID})
			return err
		})
		ended <- e
	})
	s.stopWaiting = func() {
		cancel()
		waiter.Wait()
	}
}
