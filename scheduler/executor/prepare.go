package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"attune"
	"attune/internal/retry"
	"attune/scheduler"
)

// Pauses between two tries while the database is away, or a sandbox cannot be removed.
const (
	firstPause    = 100 * time.Millisecond
	databasePause = 5 * time.Second
	removePause   = 10 * time.Second
)

// Prepare implements scheduler.Executor. An outage only delays it, since nothing of the action runs yet.
func (e *Executor) Prepare(ctx context.Context, c scheduler.Claim) (scheduler.Attempt, error) {
	a := &attempt{Executor: e, claim: c}
	err := retry.Do(ctx, retry.Pauses(firstPause, databasePause), func() error {
		err := a.gather(ctx)
		if err == nil || attune.CodeOf(err) == attune.CodeUnavailable {
			return err
		}
		return retry.Permanent(err)
	}, nil)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		e.Log.Error("execution cannot be prepared", "execution", c.ID, "error", err)
		a.refuse(attune.StatusFailed, attune.ReasonSandboxFailed)
	}
	return a, nil
}

// gather looks up what the sandbox needs, and refuses the attempt where a part is missing.
func (a *attempt) gather(ctx context.Context) (err error) {
	c := a.claim
	a.action, err = a.DB.Installations.Action(ctx, c.InstallationID, c.Action)
	if attune.CodeOf(err) == attune.CodeNotFound {
		a.refuse(attune.StatusCancelled, attune.ReasonPackRemoved)
		return nil
	}
	if err != nil {
		return err
	}
	if has, err := a.hasImage(ctx); err != nil {
		return err
	} else if !has {
		a.refuse(attune.StatusFailed, attune.ReasonImageMissing)
		return nil
	}
	secrets, unset, err := a.DB.Secrets.Resolve(ctx, c.Action, a.action.Secrets)
	if err != nil {
		return err
	}
	if len(unset) > 0 {
		a.refuse(attune.StatusFailed, attune.ReasonSecretMissing)
		return nil
	}
	a.document, err = document(c, a.action, secrets)
	return err
}

// refuse gives the attempt an outcome without a start.
func (a *attempt) refuse(status attune.Status, reason attune.Reason) {
	o := notBegun(status, reason)
	a.refused = &o
}

// hasImage reports whether a sandbox of the image waits, or can be made.
func (a *attempt) hasImage(ctx context.Context) (bool, error) {
	if a.Pool.Ready(a.claim.Action, specOf(a.claim.ImageDigest, a.action)) {
		return true, nil
	}
	return a.HasImage(ctx, a.claim.ImageDigest)
}

// document is what the runner reads on stdin (contract 2).
func document(c scheduler.Claim, action attune.Action, secrets map[string]string) ([]byte, error) {
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
