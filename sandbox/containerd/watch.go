package containerd

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"attune/internal/retry"
	"attune/sandbox"
)

const (
	// killPause is the time between two SIGKILLs: containerd may have been down at the first.
	killPause = time.Second
	// lostTime is how long a killed process may take to end. A process that waits for a device survives SIGKILL, and then
	// it is unknown whether it ever ends.
	lostTime = time.Minute
)

var errLost = errors.New("the process did not end after SIGKILL")

// watch waits for the end of the process. It ends the process when ctx is cancelled, on a timeout, and out of memory.
func (s *container) watch(
	ctx, life context.Context, in sandbox.Input, exit *sandbox.Exit,
) (*tasks.WaitResponse, error) {
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
			// The kernel counts nothing where this signal comes before its own.
			exit.OutOfMemory = true
			kill()
		}
	}
}

// signal sends SIGKILL to every process of the sandbox, and other signals to the first. It is no error when the process
// has just ended.
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

// Pauses between two calls to a containerd that is unavailable.
const (
	restartPauseMin = 100 * time.Millisecond
	restartPauseMax = 500 * time.Millisecond
)

// acrossRestarts repeats a call while containerd is unavailable, until ctx ends. The shims keep the containers
// meanwhile, and the next containerd finds them.
func acrossRestarts(ctx context.Context, ask func() error) error {
	return retry.Do(ctx, retry.Pauses(restartPauseMin, restartPauseMax), func() error {
		err := ask()
		if errdefs.IsUnavailable(errgrpc.ToNative(err)) {
			return err
		}
		return retry.Permanent(err)
	}, nil)
}

// ending is the answer to a wait for a process.
type ending struct {
	status *tasks.WaitResponse
	err    error
}

// start waits before it starts the process, so that it cannot miss the end.
func (s *container) start(life context.Context) error {
	s.await(life)
	return bounded(life, func(ctx context.Context) error {
		_, err := s.tasks.Start(ctx, &tasks.StartRequest{ContainerID: s.spec.ID})
		return err
	})
}

// await waits for the end of the process in the background.
func (s *container) await(life context.Context) {
	waiting, cancel := context.WithCancel(life)
	ended := make(chan ending, 1)
	s.ended = ended
	var waiter sync.WaitGroup
	waiter.Go(func() {
		var e ending
		e.err = acrossRestarts(waiting, func() (err error) {
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
