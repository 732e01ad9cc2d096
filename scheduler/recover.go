package scheduler

import (
	"context"
	"time"
)

// recover settles what an earlier life of this worker left: what still runs goes on; what certainly has not begun
// goes back to its position in the queue; the rest has ended, or is abandoned, for started code is never silently run
// again.
func (w *Worker) recover(ctx context.Context) error {
	if err := w.Queue.register(ctx, w.life); err != nil {
		return err
	}
	claims, err := w.Queue.claimsOf(ctx, w.Name)
	if err != nil {
		return err
	}
	recovered, err := w.Executor.Recover(ctx, claims)
	if err != nil {
		return err
	}
	var goOn, ended []*Recovered
	var keep []int64
	for i := range recovered {
		r := &recovered[i]
		switch {
		case r.Attempt != nil:
			goOn, keep = append(goOn, r), append(keep, r.Claim.Number)
		case r.Outcome != nil:
			ended, keep = append(ended, r), append(keep, r.Claim.Number)
		}
	}
	if err := w.Queue.release(ctx, w.life, keep); err != nil {
		return err
	}
	for _, r := range ended {
		if err := w.recorder.settle(ctx, &r.Claim, *r.Outcome, time.Time{}); err != nil {
			return err
		}
	}
	// Last, since an error above ends the worker, which waits for none of these.
	for _, r := range goOn {
		w.hold(context.WithoutCancel(ctx), &r.Claim, func(ctx context.Context, c *Claim) {
			w.run(ctx, c, r.Attempt, time.Now()) // most starts are recorded already
		})
	}
	if len(claims) > 0 {
		w.Log.Warn("settled what an earlier life left",
			"go_on", len(goOn), "ended", len(ended), "released", len(claims)-len(keep))
	}
	return nil
}
