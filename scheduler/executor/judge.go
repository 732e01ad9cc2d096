package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"attune"
	"attune/sandbox"
	"attune/scheduler"
)

// judgeTime is how long the end of a sandbox may be judged beyond the action's own timeout.
const judgeTime = 10 * time.Second

// markBytes is how much a sandbox leaves at most without a mark: reading that little cannot harm the worker.
const markBytes = 64 << 10

// judge turns the end of a sandbox into an outcome. What the sandbox left may be made to harm the worker that reads it.
// So the worker marks what it begins to judge. What has the marks of two earlier lives is not read again: one may have
// ended for another reason.
func (a *attempt) judge(ctx context.Context, exit *sandbox.Exit) scheduler.Outcome {
	cause := context.Cause(ctx)
	if a.unreadable {
		exit.Result, exit.Failure = nil, nil
		return unjudged(outcomeOf(ctx, exit, cause, a.action))
	}
	marked := len(exit.Result)+len(exit.Failure) > markBytes
	if marked {
		if err := a.mark(a.claim); err != nil {
			a.Log.Warn("an outcome is judged without a mark", "execution", a.claim.ID, "error", err)
		}
	}
	deadline := exit.FinishedAt.Add(judgeTime)
	if timeout := exit.StartedAt.Add(time.Duration(a.action.TimeoutSeconds) * time.Second); timeout.After(deadline) {
		deadline = timeout
	}
	judging, stop := untilCancelled(ctx)
	if exit.Stopped {
		judging = context.WithoutCancel(ctx) // the cancellation is done, and what was left until then is kept
	}
	defer stop()
	judging, cancel := context.WithDeadline(judging, deadline)
	defer cancel()
	o := outcomeOf(judging, exit, cause, a.action)
	if marked {
		a.unmark(attemptName(a.claim)) // the line above may have panicked
	}
	return o
}

// unjudged is the outcome of an attempt whose result harms the worker that reads it.
func unjudged(o scheduler.Outcome) scheduler.Outcome {
	if o.Status == attune.StatusCompleted || o.Status == attune.StatusFailed {
		o.Status, o.Reason = attune.StatusFailed, attune.ReasonInvalidResult
		o.Failure = &attune.Failure{
			Error: "the worker ended twice while it read the result, which is not read again", ErrorType: invalidResult,
		}
	}
	return o
}

// untilCancelled returns a context that ends when the execution is cancelled. A worker that stops still judges what has
// ended, which is a matter of seconds.
func untilCancelled(ctx context.Context) (context.Context, func()) {
	judging, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, scheduler.ErrStopping) {
			end(cause)
		}
	})
	return judging, func() { stop(); end(nil) }
}

// maxJudgings is how often an outcome is judged at most.
const maxJudgings = 2

// A mark is a file, named as the attempt, with a byte for each time that its outcome was judged.

func (e *Executor) mark(c scheduler.Claim) error {
	file, err := os.OpenFile(filepath.Join(e.Marks, attemptName(c)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, err = file.WriteString("1")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("mark an outcome as being judged: %w", err)
	}
	return nil
}

func (e *Executor) unmark(attempt string) {
	if err := os.Remove(filepath.Join(e.Marks, attempt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.Log.Error("the mark of a judged outcome is still there", "attempt", attempt, "error", err)
	}
}

// marked reports whether earlier lives of the worker ended while they judged the end of a claim, as often as it is
// judged.
func (e *Executor) marked(c scheduler.Claim) (bool, error) {
	info, err := os.Lstat(filepath.Join(e.Marks, attemptName(c)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the mark of an outcome: %w", err)
	}
	return info.Size() >= maxJudgings, nil
}

// removeMarks removes the marks of all that is over.
func (e *Executor) removeMarks(held []scheduler.Claim) error {
	marks, err := os.ReadDir(e.Marks)
	if err != nil {
		return fmt.Errorf("look for marks of outcomes: %w", err)
	}
	here := make(map[string]bool, len(held))
	for _, c := range held {
		here[attemptName(c)] = true
	}
	for _, m := range marks {
		if !here[m.Name()] {
			e.unmark(m.Name())
		}
	}
	return nil
}
