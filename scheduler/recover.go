package scheduler

import (
	"context"
	"slices"
	"time"
)

// recover settles what an earlier life of this worker left: what it had not begun goes back to its place in the queue; what
// still runs goes on; what else had begun is abandoned, once its sandbox is known to be gone, for its outcome cannot be known
// and started code is never silently run again.
func (w *Worker) recover(ctx context.Context) error {
	if err := w.Queue.register(ctx, w.life); err != nil {
		return err
	}
	w.beaten = time.Now()
	if err := w.Queue.handBack(ctx, w.Name); err != nil {
		return err
	}
	begun, err := w.Queue.lostBy(ctx, w.Name)
	if err != nil {
		return err
	}
	attached, err := w.attach(ctx, begun)
	if err != nil {
		return err
	}
	begun = slices.DeleteFunc(begun, func(l lost) bool {
		return slices.ContainsFunc(attached, func(c Claim) bool { return c.Number == l.Number })
	})
	var again []Claim
	for _, l := range begun {
		if retries(l.retry, l.Attempt, abandoned) {
			again = append(again, l.Claim)
		}
	}
	if err := w.Executor.Clear(ctx, again); err != nil {
		return err
	}
	if len(begun) > 0 {
		w.Log.Warn("what ran in an earlier life is abandoned", "executions", len(begun), "tried_again", len(again))
	}
	if err := w.Queue.abandon(ctx, w.Name, begun); err != nil {
		return err
	}
	if len(attached) > 0 {
		w.Log.Info("what ran in an earlier life goes on", "executions", len(attached))
	}
	w.begin(context.WithoutCancel(ctx), attached)
	return nil
}

// attach asks which of what had begun can go on.
func (w *Worker) attach(ctx context.Context, begun []lost) ([]Claim, error) {
	claims := make([]Claim, len(begun))
	for i, l := range begun {
		claims[i] = l.Claim
		claims[i].begun = true
	}
	return w.Executor.Attach(ctx, claims)
}
