package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"attune"
	"attune/images"
	"attune/internal/retry"
	"attune/sandbox"
	"attune/scheduler"
	"attune/storage"
)

// specOf is the sandbox that an action of an image needs; its ID is not set.
func specOf(imageDigest string, a attune.Action) sandbox.Spec {
	return sandbox.Spec{
		ImageDigest: imageDigest,
		Args:        images.Command(a),
		Env:         a.Env,
		Network:     a.Network,
		Runtime:     a.Runtime,
		Resources:   a.Resources,
	}
}

// Current returns what a pool asks for the sandbox that an action needs as it is installed now; false says that the
// action is not installed.
func Current(db *storage.DB) func(ctx context.Context, action string) (sandbox.Spec, bool, error) {
	return func(ctx context.Context, action string) (sandbox.Spec, bool, error) {
		a, err := db.Actions.Get(ctx, action)
		if attune.CodeOf(err) == attune.CodeNotFound {
			return sandbox.Spec{}, false, nil
		}
		return specOf(a.ImageDigest, a.Action), err == nil, err
	}
}

// runSandbox takes the sandbox to its end. When the error is nil, nothing of it runs any more.
func (a *attempt) runSandbox(ctx context.Context) (sandbox.Exit, scheduler.Outcome, error) {
	started := a.sandbox != nil
	exit, err := a.useSandbox(ctx, sandbox.Input{
		Execution: attemptName(a.claim),
		Stdin:     a.document,
		Stdout:    a.files.stdout,
		Stderr:    a.files.stderr,
		Timeout:   time.Duration(a.action.TimeoutSeconds) * time.Second,
		Grace:     a.Grace,
		Started:   func() { started = true },
	})
	a.document = nil
	if err == nil {
		o := a.judge(ctx, &exit)
		return exit, o, nil
	}
	a.Log.Error("sandbox failed", "execution", a.claim.ID, "error", err)
	if err := a.ensureGone(ctx); err != nil {
		return sandbox.Exit{}, scheduler.Outcome{}, fmt.Errorf("sandbox %s is not known to be gone: %w", a.sandboxID, err)
	}
	return sandbox.Exit{}, outcomeOfFailure(err, started), nil
}

// useSandbox goes on with the sandbox that Recover found, or takes one from the pool, or makes one.
func (a *attempt) useSandbox(ctx context.Context, in sandbox.Input) (sandbox.Exit, error) {
	spec := specOf(a.claim.ImageDigest, a.action)
	if a.sandbox == nil {
		a.sandbox, a.sandboxID = a.Pool.Take(a.claim.Action, spec, a.action.Warm)
	}
	if a.sandbox == nil {
		var err error
		spec.ID, a.sandboxID = in.Execution, in.Execution
		if a.sandbox, err = a.Runtime.Create(ctx, spec); err != nil {
			return sandbox.Exit{}, err
		}
	}
	return a.sandbox.Run(ctx, in)
}

// ensureGone removes what a failed sandbox may have left, however long that takes: until then, its slot cannot be given
// to another. Only the worker's end ends the tries.
func (a *attempt) ensureGone(ctx context.Context) error {
	working, stop := untilStopping(ctx)
	defer stop()
	remove := func() error { return a.Runtime.Remove(context.WithoutCancel(ctx), a.sandboxID) }
	return retry.Do(working, retry.Pauses(firstPause, removePause), remove, func(err error, _ time.Duration) {
		a.Log.Error("sandbox not removed; its slot stays taken", "sandbox", a.sandboxID, "error", err)
	})
}

// untilStopping returns a context that ends when the worker stops, and not when the execution alone is cancelled.
func untilStopping(ctx context.Context) (context.Context, func()) {
	working, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), scheduler.ErrStopping) {
			end()
		}
	})
	return working, func() { stop(); end() }
}
