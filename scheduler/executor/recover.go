package executor

import (
	"context"
	"errors"

	"attune"
	"attune/sandbox"
	"attune/scheduler"
)

// Recover implements scheduler.Executor. The Runtime's durable record decides what becomes of each claim.
func (e *Executor) Recover(ctx context.Context, held []scheduler.Claim) ([]scheduler.Recovered, error) {
	recovered := make([]scheduler.Recovered, len(held))
	for i, c := range held {
		var err error
		if recovered[i], err = e.recoverClaim(ctx, c); err != nil {
			return nil, err
		}
	}
	if err := e.removeMarks(held); err != nil {
		return nil, err
	}
	// This removes the sandboxes of all that does not go on.
	if err := e.Runtime.Reconcile(ctx); err != nil {
		return nil, err
	}
	return recovered, nil
}

func (e *Executor) recoverClaim(ctx context.Context, c scheduler.Claim) (scheduler.Recovered, error) {
	a := &attempt{Executor: e, claim: c}
	var err error
	a.action, err = e.DB.Installations.Action(ctx, c.InstallationID, c.Action)
	if attune.CodeOf(err) == attune.CodeNotFound {
		return a.abandon()
	}
	if err != nil {
		return scheduler.Recovered{}, err
	}
	a.sandbox, a.sandboxID, err = e.Runtime.Attach(ctx, attemptName(c))
	if errors.Is(err, sandbox.ErrNotStarted) {
		// It will begin once more, here or elsewhere; what was written before its start is not that attempt's log.
		return scheduler.Recovered{Claim: c}, e.Logs.DropAttempt(prefixOf(c), c.Attempt)
	}
	if err != nil {
		e.Log.Warn("execution cannot go on", "execution", c.ID, "error", err)
		return a.abandon()
	}
	if a.unreadable, err = e.marked(c); err != nil {
		return scheduler.Recovered{}, err
	}
	// From here on, Maintain leaves its spool alone.
	return scheduler.Recovered{Claim: c, Attempt: a}, a.openFiles(e.Logs.Resume)
}

// abandon gives up an attempt that cannot go on. When another one follows, its log becomes an earlier attempt's.
func (a *attempt) abandon() (scheduler.Recovered, error) {
	o := a.ended(scheduler.Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost})
	a.gone = append(a.gone, attemptName(a.claim))
	var err error
	if o.RetryAfter != nil {
		err = a.Logs.KeepAttempt(prefixOf(a.claim), a.claim.Attempt)
	}
	return scheduler.Recovered{Claim: a.claim, Outcome: &o}, err
}
