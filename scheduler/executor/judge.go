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
// So the worker marks what it begins to judge. What has the mark of an earlier life is not read again.
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
			Error: "the worker ended while it read the result, which is not read again", ErrorType: invalidResult,
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

// A mark is an empty file, named as the attempt.

func (e *Executor) mark(c scheduler.Claim) error {
	if err := os.WriteFile(filepath.Join(e.Marks, attemptName(c)), nil, 0o600); err != nil {
		return fmt.Errorf("mark an outcome as being judged: %w", err)
	}
	return nil
}

func (e *Executor) unmark(attempt string) {
	if err := os.Remove(filepath.Join(e.Marks, attempt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.Log.Error("the mark of a judged outcome is still there", "attempt", attempt, "error", err)
	}
}

// marked reports whether an earlier life of the worker ended while it judged the end of a claim.
func (e *Executor) marked(c scheduler.Claim) (bool, error) {
	_, err := os.Lstat(filepath.Join(e.Marks, attemptName(c)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the mark of an outcome: %w", err)
	}
	return true, nil
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
