package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"attune"
	"attune/internal/retry"
)

// startDelay is how long an attempt runs before its start is recorded: most are over by then, and their end says when
// they began. In so short a time, the difference between scheduled and running cannot be seen.
const startDelay = 50 * time.Millisecond

var cancelled = Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested}

// attempt takes a claim from its preparation to its end. ctx ends with ErrCancelled or ErrStopping as its cause when
// it is to be stopped.
func (w *Worker) attempt(ctx context.Context, c *Claim) {
	a, err := w.Executor.Prepare(ctx, *c)
	switch {
	case err == nil && ctx.Err() == nil:
		w.run(ctx, c, a, time.Now())
	case errors.Is(context.Cause(ctx), ErrStopping):
		w.drop(c) // drain releases what has not begun
	default:
		w.end(c, cancelled, time.Time{})
	}
}

// run takes an attempt from its start to its end; begun is zero where the start is recorded already. A claim whose
// sandbox or outcome is not settled keeps its slot: it stays in hand, and the next life settles it.
func (w *Worker) run(ctx context.Context, c *Claim, a Attempt, begun time.Time) {
	recordStart := w.recordLater(ctx, c, begun)
	o, err := a.Run(ctx)
	recordStart()
	if err != nil {
		w.Log.Error("execution keeps its slot", "execution", c.ID, "error", err)
		return
	}
	if o.NotBegun {
		begun = time.Time{}
	}
	if !w.end(c, o, begun) {
		return
	}
	a.Close(w.recording)
	if w.Log.Enabled(ctx, slog.LevelInfo) {
		w.Log.Info("attempt ended", "execution", c.ID, "action", c.Action, "attempt", c.Attempt,
			"status", o.Status, "reason", o.Reason)
	}
}

// recordLater records a start unless the returned function is called soon; that waits for a record that is under way.
func (w *Worker) recordLater(ctx context.Context, c *Claim, begun time.Time) (end func()) {
	if begun.IsZero() {
		return func() {}
	}
	done := make(chan struct{})
	timer := time.AfterFunc(startDelay, func() {
		defer close(done)
		if err := w.recorder.start(ctx, c, begun); err != nil {
			w.Log.Warn("start not recorded", "execution", c.ID, "error", err)
		}
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

// end settles a claim and lets go of it; false says that it could not, and the claim stays in hand. The room that an
// end makes behind a limit is this worker's to fill, which has a free slot now; others are woken only when it takes
// no more.
func (w *Worker) end(c *Claim, o Outcome, begun time.Time) bool {
	w.ending.Add(1)
	ended := w.record(c, o, begun)
	if ended {
		w.drop(c)
	}
	w.ending.Add(-1)
	switch {
	case w.draining.Load():
		w.Queue.signal()
	case w.waiting.Load():
		offer(w.freed)
	}
	return ended
}

// The pauses between two tries to record an outcome while the database is away.
const (
	recordPauseMin = 100 * time.Millisecond
	recordPauseMax = 5 * time.Second
)

// record settles a claim, however long the database is away: no other process can. False says that it could not.
func (w *Worker) record(c *Claim, o Outcome, begun time.Time) bool {
	settle := func(o Outcome) error {
		return retry.Do(w.recording, retry.Pauses(recordPauseMin, recordPauseMax), func() error {
			err := w.recorder.settle(w.recording, c, o, begun)
			if err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
				return retry.Permanent(err)
			}
			return err
		}, nil)
	}
	err := settle(o)
	if err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		// What the action left may be why. Its end is worth more than its words, and those go to the log bucket.
		w.Log.Error("outcome not recorded in full", "execution", c.ID, "status", o.Status, "error", err)
		err = settle(Outcome{Status: o.Status, Reason: o.Reason, ExitCode: o.ExitCode, Usage: o.Usage,
			RetryAfter: o.RetryAfter})
	}
	if err != nil {
		w.Log.Error("outcome not recorded", "execution", c.ID, "status", o.Status, "error", err)
		return false
	}
	return true
}
