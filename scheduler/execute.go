package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"attune"
	"attune/images"
	"attune/sandbox"
)

// execute takes a claim to its terminal state. ctx ends with errCancelled or errStopping as its cause when the sandbox is
// to be stopped; what is said to the database afterwards has a context of its own.
func (w *Worker) execute(ctx context.Context, c claim) {
	log := w.Log.With("execution", c.ID, "action", c.Action)
	o, err := w.run(ctx, c)
	if errors.Is(err, errNotOurs) {
		return
	}
	if errors.Is(err, errStillThere) {
		log.Error("execution keeps its slot", "error", err)
		return
	}
	if err != nil {
		log.Error("execution has no sandbox", "error", err)
		o = outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}
	}
	err = w.settle(c, o)
	if err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		// What the action left may be why. Its end is worth more than its words, and those are in the log bucket.
		log.Error("outcome not recorded in full", "status", o.Status, "error", err)
		err = w.settle(c, outcome{Status: o.Status, Reason: o.Reason, ExitCode: o.ExitCode})
	}
	if err != nil {
		// The row keeps its slot, which is right: nobody else may take the outcome for granted. The next life settles it.
		log.Error("outcome not recorded", "status", o.Status, "error", err)
		return
	}
	log.Info("execution ended", "status", o.Status, "reason", o.Reason)
}

// errNotOurs: the execution was cancelled between claim and start, or goes back to the queue with the worker's end.
var errNotOurs = errors.New("execution is not this worker's any more")

// run prepares, starts and watches the sandbox. An error means that there was none.
func (w *Worker) run(ctx context.Context, c claim) (outcome, error) {
	var action attune.Action
	var stdin []byte
	var missing attune.Reason
	// Nothing has begun yet, so an outage only delays it.
	err := persist(ctx, func() (err error) {
		action, stdin, missing, err = w.prepare(ctx, c)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return outcome{}, errNotOurs
	case err != nil:
		return outcome{}, err
	case missing != "":
		return outcome{Status: attune.StatusFailed, Reason: missing}, nil
	}
	var ours bool
	err = persist(ctx, func() (err error) {
		ours, err = w.Queue.start(ctx, w.Name, c)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	if !ours {
		return outcome{}, errNotOurs
	}
	return w.sandboxed(ctx, c, action, stdin)
}

// prepare gathers what a sandbox needs; missing says what is not there any more.
func (w *Worker) prepare(ctx context.Context, c claim) (action attune.Action, stdin []byte, missing attune.Reason, err error) {
	if action, err = w.DB.Installations.Action(ctx, c.InstallationID, c.Action); err != nil {
		return action, nil, "", err
	}
	has, err := w.Images.Has(ctx, c.ImageDigest)
	if err != nil {
		return action, nil, "", err
	}
	if !has {
		return action, nil, attune.ReasonImageMissing, nil
	}
	secrets, unset, err := w.DB.Secrets.Resolve(ctx, c.Action, action.Secrets)
	if err != nil {
		return action, nil, "", err
	}
	if len(unset) > 0 {
		return action, nil, attune.ReasonSecretMissing, nil
	}
	stdin, err = document(c, action, secrets)
	return action, stdin, "", err
}

// sandboxed runs the sandbox with its output going to the log, and stores what it left.
func (w *Worker) sandboxed(ctx context.Context, c claim, action attune.Action, stdin []byte) (outcome, error) {
	record, err := w.openRecord(ctx, c, action)
	if err != nil {
		return outcome{}, err
	}
	id, started := fmt.Sprintf("%s-%d", c.ID, c.Attempt), false
	exit, runErr := w.Runtime.Run(ctx, sandbox.Spec{
		ID:          id,
		ImageDigest: c.ImageDigest,
		Args:        images.Command(action.RunnerType, action.EntryPoint, action.Function),
		Stdin:       stdin,
		Stdout:      record.stdout,
		Stderr:      record.stderr,
		Network:     action.Network,
		Resources:   action.Resources,
		Timeout:     time.Duration(action.TimeoutSeconds) * time.Second,
		Grace:       w.Grace,
		Started:     func() { started = true },
	})
	var o outcome
	switch {
	case runErr == nil:
		o = judge(exit, context.Cause(ctx), action)
	case started:
		o = outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonSandboxLost}
	default:
		o = outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}
	}
	if runErr != nil {
		w.Log.Error("sandbox failed", "execution", c.ID, "error", runErr)
		if err := w.ensureGone(ctx, id); err != nil {
			return outcome{}, errors.Join(errStillThere, err)
		}
	}
	// Stored before the execution is finished: whoever sees a terminal state finds the whole log.
	if err := record.close(context.WithoutCancel(ctx), o, exit); err != nil {
		w.Log.Error("log not stored; it stays in the spool", "execution", c.ID, "error", err)
	}
	return o, nil
}

// errStillThere: a sandbox could not be removed, so its execution keeps its slot; the worker's next life settles it.
var errStillThere = errors.New("the sandbox is not known to be gone")

// ensureGone removes what a failed run may have left, however long that takes: until then its slot cannot be given to
// another. Only the worker's end ends the tries.
func (w *Worker) ensureGone(ctx context.Context, id string) error {
	pause := 100 * time.Millisecond
	for {
		err := w.Runtime.Remove(context.WithoutCancel(ctx), id)
		if err == nil {
			return nil
		}
		w.Log.Error("sandbox not removed; its slot stays taken", "sandbox", id, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-w.stopping:
			timer.Stop()
			return err
		case <-timer.C:
			pause = min(2*pause, 10*time.Second)
		}
	}
}

// document is what the runner reads on stdin (contract 2).
func document(c claim, action attune.Action, secrets map[string]string) ([]byte, error) {
	type execution struct {
		ID      string            `json:"id"`
		Action  string            `json:"action"`
		Attempt int               `json:"attempt"`
		Env     map[string]string `json:"env"`
	}
	b, err := json.Marshal(struct {
		Secrets    map[string]string `json:"secrets"`
		Parameters json.RawMessage   `json:"parameters"`
		Execution  execution         `json:"execution"`
	}{secrets, c.Parameters, execution{c.ID, c.Action, c.Attempt, action.Env}})
	if err != nil {
		return nil, fmt.Errorf("encode document of execution %s: %w", c.ID, err)
	}
	return b, nil
}

// settle records the outcome, however long the database is away: nobody else can.
func (w *Worker) settle(c claim, o outcome) error {
	return persist(w.patience, func() error { return w.Queue.finish(w.patience, w.Name, c, o) })
}

const (
	persistPauseMin = 100 * time.Millisecond
	persistPauseMax = 5 * time.Second
)

// persist repeats do while what it needs is away, until ctx ends.
func persist(ctx context.Context, do func() error) error {
	for pause := persistPauseMin; ; pause = min(2*pause, persistPauseMax) {
		err := do()
		if attune.CodeOf(err) != attune.CodeUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// trimmed is b without the white space around it, nil when nothing is left.
func trimmed(b []byte) json.RawMessage {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	return b
}
