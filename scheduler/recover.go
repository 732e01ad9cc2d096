package scheduler

import (
	"context"
	"fmt"
	"time"

	"attune"
)

// recover settles what an earlier life of this worker left: what had not begun goes back to its place in the queue; what
// had begun is abandoned, once its sandbox is known to be gone, for its outcome cannot be known and started code is never
// silently run again.
func (w *Worker) recover(ctx context.Context) error {
	if err := w.Queue.handBack(ctx, w.Name, nil); err != nil {
		return err
	}
	begun, err := w.Queue.begun(ctx, w.Name)
	if err != nil {
		return err
	}
	left, err := w.Runtime.List(ctx)
	if err != nil {
		return fmt.Errorf("list sandboxes left behind: %w", err)
	}
	for _, id := range left {
		if err := w.Runtime.Remove(ctx, id); err != nil {
			return fmt.Errorf("remove sandbox %s left behind: %w", id, err)
		}
	}
	for _, c := range begun {
		if err := w.Queue.finish(ctx, w.Name, c, outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}); err != nil {
			return err
		}
	}
	if len(begun) > 0 || len(left) > 0 {
		w.Log.Warn("settled what an earlier life left", "abandoned", len(begun), "sandboxes", len(left))
	}
	return nil
}

// storeSpool uploads what is left of finished logs, at the start and from time to time until ctx ends. Object storage may
// still be away, or slow; the spool keeps them, and nothing else waits for it.
func (w *Worker) storeSpool(ctx context.Context) {
	tick := time.NewTicker(spoolInterval)
	defer tick.Stop()
	for {
		if err := w.Logs.Recover(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error("logs in the spool were not stored", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
