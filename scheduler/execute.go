package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"attune"
)

// errNotOurs: the execution was cancelled between claim and start, or goes back to the queue with the worker's end.
var errNotOurs = errors.New("execution is not this worker's any more")

// errStillThere: a sandbox could not be removed, so its execution keeps its slot; the worker's next life settles it.
var errStillThere = errors.New("the sandbox is not known to be gone")

// execute takes a claim to the end of its attempt and calls over then, not necessarily before it returns: nothing waits here for
// a commit. False says that the claim keeps its slot, for its sandbox or its outcome is not settled. ctx ends with errCancelled
// or errStopping as its cause when the sandbox is to be stopped; what is said to the database afterwards has a context of its own.
func (w *Worker) execute(ctx context.Context, c Claim, over func(settled bool)) {
	o, retry, err := w.Executor.Execute(ctx, c, func(ctx context.Context) error { return w.start(ctx, c) })
	if errors.Is(err, errNotOurs) {
		over(true)
		return
	}
	if errors.Is(err, errStillThere) {
		w.Log.Error("execution keeps its slot", "execution", c.ID, "error", err)
		over(false)
		return
	}
	if err != nil {
		w.Log.Error("execution has no sandbox", "execution", c.ID, "error", err)
		o = Outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}
	}
	if retries(retry, c.Attempt, o) {
		over(w.record(c, o, retry, w.settle(c, o, retry)))
		return
	}
	w.book.finishLater(c, o, func(err error) {
		go func() { over(w.record(c, o, retry, err)) }()
	})
}

// record sees to it that an outcome is recorded that was tried to be once, with err. False says that it is not.
func (w *Worker) record(c Claim, o Outcome, retry *attune.Retry, err error) bool {
	if attune.CodeOf(err) == attune.CodeUnavailable {
		err = w.settle(c, o, retry)
	}
	if err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		// What the action left may be why. Its end is worth more than its words, and those go to the log bucket.
		w.Log.Error("outcome not recorded in full", "execution", c.ID, "status", o.Status, "error", err)
		err = w.settle(c, Outcome{Status: o.Status, Reason: o.Reason, ExitCode: o.ExitCode, Usage: o.Usage}, retry)
	}
	if err != nil {
		// The row keeps its slot, which is right: nobody else may take the outcome for granted. The next life settles it.
		w.Log.Error("outcome not recorded", "execution", c.ID, "status", o.Status, "error", err)
		return false
	}
	w.Executor.Settled(context.WithoutCancel(w.patience), c)
	if w.Log.Enabled(w.patience, slog.LevelInfo) {
		w.Log.Info("attempt ended", "execution", c.ID, "action", c.Action, "attempt", c.Attempt, "status", o.Status, "reason", o.Reason)
	}
	return true
}

// start is what an executor calls begin. An outage of the database only delays it, unless the run is to be stopped: whether
// it counts as begun is then the next life's to find out, and no sandbox was made.
func (w *Worker) start(ctx context.Context, c Claim) error {
	if c.begun {
		return nil
	}
	var ours bool
	err := persist(ctx, func() (err error) {
		ours, err = w.book.start(ctx, c)
		return err
	})
	if err == nil && !ours || err != nil && ctx.Err() != nil {
		return errNotOurs
	}
	return err
}

// settle records the outcome, however long the database is away: nobody else can.
func (w *Worker) settle(c Claim, o Outcome, retry *attune.Retry) error {
	return persist(w.patience, func() error { return w.Queue.settle(w.patience, w.book, c, o, retry) })
}

const (
	persistPauseMin = 100 * time.Millisecond
	persistPauseMax = 5 * time.Second
)

// persist repeats do while what it needs is away, until ctx ends.
func persist(ctx context.Context, do func() error) error {
	for wait := persistPauseMin; ; wait = min(2*wait, persistPauseMax) {
		err := do()
		if attune.CodeOf(err) != attune.CodeUnavailable || !pause(ctx, wait) {
			return err
		}
	}
}
