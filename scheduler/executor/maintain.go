package executor

import (
	"context"
	"time"
)

const (
	// spoolInterval is how often the spool is looked through for logs that object storage did not take.
	spoolInterval = 15 * time.Second
	// reconcileInterval is how often sandboxes without an owner are looked for.
	reconcileInterval = 5 * time.Minute
)

// Maintain implements scheduler.Executor: it stores the logs that attempts, and earlier lives, have left in the spool,
// and removes orphaned sandboxes.
func (e *Executor) Maintain(ctx context.Context) {
	for _, attempt := range e.gone {
		e.Runtime.Forget(attempt) // its outcome is recorded by now
	}
	spool, reconcile := time.NewTicker(spoolInterval), time.NewTicker(reconcileInterval)
	defer spool.Stop()
	defer reconcile.Stop()
	// While object storage is away, only the ticker makes another try.
	left := e.storeSpool(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-spool.C:
			left = e.storeSpool(ctx)
		case <-left:
			left = e.storeSpool(ctx)
		case <-reconcile.C:
			if err := e.Runtime.Reconcile(ctx); err != nil && ctx.Err() == nil {
				e.Log.Error("orphaned sandboxes were not removed", "error", err)
			}
		}
	}
}

// storeSpool stores the logs in the spool. It returns what wakes Maintain for the next time; nil when object storage
// did not take them all.
func (e *Executor) storeSpool(ctx context.Context) <-chan struct{} {
	if err := e.Logs.Recover(ctx); err != nil {
		if ctx.Err() == nil {
			e.Log.Error("logs in the spool were not stored", "error", err)
		}
		return nil
	}
	return e.left
}

// wakeMaintain lets Maintain look through the spool at once.
func (e *Executor) wakeMaintain() {
	select {
	case e.left <- struct{}{}:
	default:
	}
}
