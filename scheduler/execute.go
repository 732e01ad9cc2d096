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

// execute takes a claim to the end of its attempt, after which its place is free, and not necessarily before it returns: nothing
// waits here for a commit. A claim whose sandbox or outcome is not settled keeps its slot. ctx ends with errCancelled or
// errStopping as its cause when the sandbox is to be stopped; what is said to the database afterwards has a context of its own.
func (w *Worker) execute(ctx context.Context, c *Claim) {
	o, retry, err := w.Executor.Execute(ctx, *c, func(ctx context.Context) error { return w.start(ctx, c) })
	if errors.Is(err, errNotOurs) {
		w.over(c, true)
		return
	}
	if errors.Is(err, errStillThere) {
		w.Log.Error("execution keeps its slot", "execution", c.ID, "error", err)
		w.over(c, false)
		return
	}
	if err != nil {
		w.Log.Error("execution has no sandbox", "execution", c.ID, "error", err)
		o = Outcome{Status: attune.StatusFailed, Reason: attune.ReasonSandboxFailed}
	}
	e := &ending{c, o}
	if retries(retry, c.Attempt, o) {
		w.over(c, w.record(e, retry, w.settle(e, retry)))
		return
	}
	w.book.finishLater(e, func(err error) {
		if err == nil && w.Executor.Immediate() {
			w.over(c, w.record(e, retry, nil)) // nothing waits in there
			return
		}
		go func() { w.over(c, w.record(e, retry, err)) }()
	})
}

// record sees to it that an outcome is recorded that was tried to be once, with err. False says that it is not.
func (w *Worker) record(e *ending, retry *attune.Retry, err error) bool {
	if attune.CodeOf(err) == attune.CodeUnavailable {
		err = w.settle(e, retry)
	}
	if err != nil && attune.CodeOf(err) != attune.CodeUnavailable {
		// What the action left may be why. Its end is worth more than its words, and those go to the log bucket.
		w.Log.Error("outcome not recorded in full", "execution", e.ID, "status", e.Status, "error", err)
		bare := Outcome{Status: e.Status, Reason: e.Reason, ExitCode: e.ExitCode, Usage: e.Usage}
		err = w.settle(&ending{e.Claim, bare}, retry)
	}
	if err != nil {
		// The row keeps its slot, which is right: nobody else may take the outcome for granted. The next life settles it.
		w.Log.Error("outcome not recorded", "execution", e.ID, "status", e.Status, "error", err)
		return false
	}
	w.Executor.Settled(context.WithoutCancel(w.patience), *e.Claim)
	if w.Log.Enabled(w.patience, slog.LevelInfo) {
		w.Log.Info("attempt ended", "execution", e.ID, "action", e.Action, "attempt", e.Attempt, "status", e.Status, "reason", e.Reason)
	}
	return true
}

// start is what an executor calls begin. An outage of the database only delays it, unless the run is to be stopped: whether
// it counts as begun is then the next life's to find out, and no sandbox was made.
func (w *Worker) start(ctx context.Context, c *Claim) error {
	if c.begun {
		return nil
	}
	var ours bool
	err := persist(ctx, func() (err error) {
		ours, err = w.book.start(ctx, *c)
		return err
	})
	if err == nil && !ours || err != nil && ctx.Err() != nil {
		return errNotOurs
	}
	return err
}

// settle records the outcome, however long the database is away: nobody else can.
func (w *Worker) settle(e *ending, retry *attune.Retry) error {
	return persist(w.patience, func() error { return w.Queue.settle(w.patience, w.book, *e.Claim, e.Outcome, retry) })
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
