package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"attune"
	"attune/sandbox"
	"attune/storage"
	"attune/storage/logs"
)

// Images tells which images are on this host.
type Images interface {
	Has(ctx context.Context, digest string) (bool, error)
}

// Sandboxes is the Executor that runs each claim in a sandbox of its own.
type Sandboxes struct {
	DB      *storage.DB
	Runtime sandbox.Runtime
	// Pool has sandboxes made ahead; without one, each is made when it is needed.
	Pool   *sandbox.Pool
	Images Images
	Logs   *logs.Store
	// LogBytes is the cap of a stream whose action sets none; 0 takes logs.DefaultStreamBytes.
	LogBytes int64
	// Grace is the time between SIGTERM and SIGKILL.
	Grace time.Duration
	Log   *slog.Logger

	// full is what Ready said last; only the worker's loop asks.
	full bool
	// attached has what Attach found, by the number of the claim, and records those that are stored and not settled.
	attached, records sync.Map
	// cleared is made once; see whenCleared.
	once    sync.Once
	cleared chan struct{}
}

// DefaultGrace is a Grace that suits most actions.
const DefaultGrace = 5 * time.Second

// Clear implements Executor.
func (s *Sandboxes) Clear(ctx context.Context, again []Claim) error {
	for _, c := range again {
		if err := s.Logs.KeepAttempt(s.prefix(c), c.Attempt); err != nil {
			return err
		}
	}
	if err := s.Runtime.Reconcile(ctx); err != nil {
		return err
	}
	close(s.whenCleared())
	return nil
}

// Settled implements Executor: whoever waits for the outcome has it, and now the log goes to the bucket.
func (s *Sandboxes) Settled(ctx context.Context, c Claim) {
	s.Runtime.Forget(attemptName(c))
	if r, ok := s.records.LoadAndDelete(c.Number); ok {
		if err := r.(*record).store(ctx); err != nil {
			s.Log.Error("log not stored; it stays in the spool", "execution", c.ID, "error", err)
		}
	}
}

// attemptName names an attempt to the Runtime.
func attemptName(c Claim) string { return fmt.Sprintf("%s-%d", c.ID, c.Attempt) }

// prefix is where an execution's objects lie.
func (s *Sandboxes) prefix(c Claim) string {
	_, name, _ := attune.SplitActionRef(c.Action)
	return logs.ExecutionPrefix(c.Pack, name, c.CreatedAt, c.ID)
}

// Immediate implements Executor: secrets are fetched and the image is looked for, first.
func (s *Sandboxes) Immediate() bool { return false }

// spoolReserve is what must be left of the disk for logs before anything is taken: an execution on a full disk would lose its
// log, or its start.
const spoolReserve = 128 << 20

// Ready implements Executor: the disk has room for the logs of more executions.
func (s *Sandboxes) Ready() bool {
	left, err := s.Logs.Free()
	full := err != nil || left < spoolReserve
	if full != s.full {
		s.full = full
		if full {
			s.Log.Error("the disk for logs is full; nothing is taken from the queue", "bytes_left", left, "error", err)
		} else {
			s.Log.Info("the disk for logs has room again")
		}
	}
	return !full
}

// Execute implements Executor: it prepares, starts and watches the sandbox.
func (s *Sandboxes) Execute(ctx context.Context, c Claim, begin func(context.Context) error) (Outcome, *attune.Retry, error) {
	if found, ok := s.attached.LoadAndDelete(c.Number); ok {
		r := found.(run)
		o, err := s.sandboxed(ctx, c, r, nil)
		return o, r.action.Retry, err
	}
	var action attune.Action
	var stdin []byte
	var missing attune.Reason
	// Nothing has begun yet, so an outage only delays it.
	err := persist(ctx, func() (err error) {
		action, stdin, missing, err = s.prepare(ctx, c)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return Outcome{}, nil, errNotOurs
	case err != nil:
		return Outcome{}, nil, err
	case missing != "":
		return Outcome{Status: attune.StatusFailed, Reason: missing}, action.Retry, nil
	}
	if err := begin(ctx); err != nil {
		return Outcome{}, nil, err
	}
	record, err := s.openRecord(ctx, c, action, s.Logs.CreateAttempt)
	if err != nil {
		return Outcome{}, action.Retry, err
	}
	o, err := s.sandboxed(ctx, c, run{action: action, record: record}, stdin)
	return o, action.Retry, err
}

// prepare gathers what a sandbox needs; missing says what is not there any more.
func (s *Sandboxes) prepare(ctx context.Context, c Claim) (action attune.Action, stdin []byte, missing attune.Reason, err error) {
	if action, err = s.DB.Installations.Action(ctx, c.InstallationID, c.Action); err != nil {
		return action, nil, "", err
	}
	if !s.Pool.Ready(c.Action, sandboxSpec(c.ImageDigest, action)) {
		if has, err := s.Images.Has(ctx, c.ImageDigest); err != nil {
			return action, nil, "", err
		} else if !has {
			return action, nil, attune.ReasonImageMissing, nil
		}
	}
	secrets, unset, err := s.DB.Secrets.Resolve(ctx, c.Action, action.Secrets)
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
func (s *Sandboxes) sandboxed(ctx context.Context, c Claim, r run, stdin []byte) (Outcome, error) {
	name, started := attemptName(c), r.sandbox != nil
	id, exit, runErr := s.run(ctx, name, c, r, sandbox.Input{
		Execution: name,
		Stdin:     stdin,
		Stdout:    r.record.stdout,
		Stderr:    r.record.stderr,
		Timeout:   time.Duration(r.action.TimeoutSeconds) * time.Second,
		Grace:     s.Grace,
		Started:   func() { started = true },
	})
	var o Outcome
	switch {
	case runErr == nil:
		o = judge(exit, context.Cause(ctx), r.action)
	case started:
		o = Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonSandboxLost}
	case errors.Is(runErr, sandbox.ErrUnsupported):
		o = Outcome{Status: attune.StatusFailed, Reason: attune.ReasonUnsupported}
	default:
		o = Outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}
	}
	if runErr != nil {
		s.Log.Error("sandbox failed", "execution", c.ID, "error", runErr)
		if err := s.ensureGone(ctx, id); err != nil {
			return Outcome{}, errors.Join(errStillThere, err)
		}
	}
	s.records.Store(c.Number, r.record)
	if err := r.record.end(o, exit, retries(r.action.Retry, c.Attempt, o)); err != nil {
		s.Log.Error("log not wholly in the spool", "execution", c.ID, "error", err)
	}
	o.Outputs = r.record.manifest.Outputs
	return o, nil
}

// ensureGone removes what a failed run may have left, however long that takes: until then its slot cannot be given to
// another. Only the worker's end ends the tries.
func (s *Sandboxes) ensureGone(ctx context.Context, id string) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := s.Runtime.Remove(context.WithoutCancel(ctx), id)
		if err == nil {
			return nil
		}
		s.Log.Error("sandbox not removed; its slot stays taken", "sandbox", id, "error", err)
		if errors.Is(context.Cause(ctx), errStopping) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-stopped(ctx):
			timer.Stop()
		}
	}
}

// stopped is closed when the worker ends, and never when the run alone was cancelled.
func stopped(ctx context.Context) <-chan struct{} {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStopping) {
		return nil
	}
	return ctx.Done()
}

// document is what the runner reads on stdin (contract 2).
func document(c Claim, action attune.Action, secrets map[string]string) ([]byte, error) {
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

// trimmed is b without the white space around it, nil when nothing is left.
func trimmed(b []byte) json.RawMessage {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	return b
}
