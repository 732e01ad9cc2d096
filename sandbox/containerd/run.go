package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"

	"attune"
	"attune/sandbox"
)

// Run implements sandbox.Sandbox.
func (s *container) Run(ctx context.Context, in sandbox.Input) (sandbox.Exit, error) {
	if err := in.Validate(); err != nil {
		return sandbox.Exit{}, fmt.Errorf("sandbox %s: %w", s.spec.ID, err)
	}
	if s.used.Swap(true) {
		return sandbox.Exit{}, fmt.Errorf("sandbox %s has been used", s.spec.ID)
	}
	// From here on the sandbox is taken to its end, even when the caller gives up.
	life := context.WithoutCancel(ctx)
	exit, err := s.run(ctx, life, in)
	if err != nil {
		return sandbox.Exit{}, fmt.Errorf("run sandbox %s: %w", s.spec.ID, errors.Join(err, s.discard(life)))
	}
	s.retire(life)
	return exit, nil
}

// run takes the sandbox to its end. When it returns an Exit, no process of the sandbox is left.
func (s *container) run(ctx, life context.Context, in sandbox.Input) (sandbox.Exit, error) {
	if s.earlier != nil && s.earlier.exit != nil {
		exit := *s.earlier.exit
		return exit, s.readFiles(life, &exit)
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
		exit.FinishedAt = exit.StartedAt // the process ended before it had its document
	}
	if s.earlier != nil && exit.FinishedAt.Before(exit.StartedAt.Add(in.Timeout)) {
		exit.TimedOut = false // the process ended in time, while no worker watched
	}
	return exit, s.complete(life, &exit)
}

// begin delivers the document, unless an earlier process has, and reads what the sandbox prints. Stopped says that the
// caller had given up before.
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
		if err := s.groups.SetFullWeight(s.config.cgroupPath(s.spec.ID)); err != nil {
			return exit, err
		}
	}
	if s.spec.Network == attune.NetworkEgress {
		if err := s.config.Network.Connect(s.spec.ID); err != nil {
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

// endDocument makes the process see the end of its document, since the shim holds the pipe open as well. Where the
// document was not written wholly, the process stopped reading, and its own end says more.
func (s *container) endDocument(life context.Context, written error) {
	err := bounded(life, func(ctx context.Context) error {
		return acrossRestarts(ctx, func() error {
			_, err := s.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: s.spec.ID, Stdin: true})
			return err
		})
	})
	if written == nil && err == nil {
		err = os.WriteFile(s.dir.delivered(), nil, 0o600)
	}
	if err != nil {
		s.log.Warn("the end of the document was not delivered", "sandbox", s.spec.ID, "error", err)
	}
}

// complete adds to the Exit what the ended sandbox left: counters while its control group is there, and files when no
// process can write to them.
func (s *container) complete(life context.Context, exit *sandbox.Exit) error {
	path := s.config.cgroupPath(s.spec.ID)
	kills, err := s.groups.OOMKills(path)
	if err != nil {
		return err
	}
	exit.OutOfMemory = exit.OutOfMemory || kills > 0
	s.account(exit)
	// The group is empty, since the end of the first process ends its pid namespace; anything else is an error of the
	// host.
	if empty, err := s.groups.Empty(path); err != nil || !empty {
		if err := s.tearDown(life, partDir); err != nil {
			return err
		}
	}
	if err := s.dir.keepExit(*exit); err != nil {
		return err
	}
	return s.readFiles(life, exit)
}

// readFiles reads what the sandbox left, after its end. Nothing there is what it must be: an action can change it all.
func (s *container) readFiles(life context.Context, exit *sandbox.Exit) error {
	shared, err := s.dir.openShared()
	if err != nil {
		return err
	}
	defer shared.Close()
	var outputs sandbox.Outputs
	for _, file := range []struct {
		path, variable string
		most           int64
		content        *[]byte
	}{
		{sandbox.ResultPath, "$ATTUNE_RESULT", sandbox.MaxResultFileBytes, &exit.Result},
		{sandbox.FailurePath, "$ATTUNE_FAILURE", sandbox.MaxFailureFileBytes, &exit.Failure},
	} {
		*file.content, err = readLeft(shared, filepath.Base(file.path), file.most)
		if errors.Is(err, errNotPlain) {
			outputs.Drop(file.variable, "it is not a plain file")
			continue
		}
		if err != nil {
			return err
		}
	}
	err = bounded(life, func(ctx context.Context) error { return s.dir.readOutputs(ctx, shared, &outputs) })
	exit.Outputs, exit.NotKept = outputs.Kept, outputs.NotKept
	return err
}
