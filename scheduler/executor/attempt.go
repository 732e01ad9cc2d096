package executor

import (
	"context"
	"fmt"
	"time"

	"attune"
	"attune/sandbox"
	"attune/scheduler"
	"attune/storage/logs"
)

// attempt is one try of an execution. Prepare gathers what it needs, or Recover takes up what still runs; Run ends it
// and Close stores its log.
type attempt struct {
	*Executor
	claim  scheduler.Claim
	action attune.Action
	// refused is the outcome of an attempt that cannot start; it has no files.
	refused *scheduler.Outcome
	// unreadable: two earlier lives of the worker ended while they judged what the sandbox left.
	unreadable bool
	// document is what the sandbox gets; it holds the secrets, and is dropped with the end of the sandbox.
	document []byte
	// sandbox and files are Recover's, or made by Run.
	sandbox   sandbox.Sandbox
	sandboxID string
	files     *files
}

// Run implements scheduler.Attempt.
func (a *attempt) Run(ctx context.Context) (scheduler.Outcome, error) {
	if a.refused != nil {
		return a.ended(*a.refused), nil
	}
	if a.files == nil {
		if err := a.openFiles(a.Logs.CreateAttempt); err != nil {
			a.Log.Error("execution has no log", "execution", a.claim.ID, "error", err)
			return a.ended(notBegun(attune.StatusFailed, attune.ReasonSandboxFailed)), nil
		}
	}
	exit, o, err := a.runSandbox(ctx)
	if err != nil {
		return scheduler.Outcome{}, err
	}
	o = a.ended(o)
	if err := a.files.end(o, exit); err != nil {
		a.Log.Error("log not wholly in the spool", "execution", a.claim.ID, "error", err)
	}
	o.Outputs = a.files.manifest.Outputs
	return o, nil
}

// ended is the outcome with what follows it: another attempt, or none.
func (a *attempt) ended(o scheduler.Outcome) scheduler.Outcome {
	if !a.unreadable { // another attempt would leave the same
		o.RetryAfter = scheduler.RetryAfter(a.action.Retry, a.claim.Attempt, o)
	}
	return o
}

// uploadTimeout is how long an attempt tries to store its log; past it, Maintain does.
const uploadTimeout = 15 * time.Second

// Close implements scheduler.Attempt. An attempt that finds all uploads busy leaves its log to Maintain at once, so
// that an outage of object storage does not gather attempts that wait for it.
func (a *attempt) Close(ctx context.Context) {
	if a.unreadable {
		a.unmark(attemptName(a.claim))
	}
	a.Runtime.Forget(attemptName(a.claim))
	if a.files == nil {
		return
	}
	var err error
	select {
	case a.uploads <- struct{}{}:
		ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
		err = a.files.upload(ctx)
		cancel()
		<-a.uploads
	default:
		err = a.files.leave()
		a.wakeMaintain()
	}
	if err != nil {
		a.Log.Error("log not stored; it stays in the spool", "execution", a.claim.ID, "error", err)
	}
}

// attemptName names an attempt to the Runtime.
func attemptName(c scheduler.Claim) string { return fmt.Sprintf("%s-%d", c.ID, c.Attempt) }

// prefixOf is where an execution's objects lie.
func prefixOf(c scheduler.Claim) string {
	_, name, _ := attune.SplitActionRef(c.Action)
	return logs.ExecutionPrefix(c.Pack, name, c.CreatedAt, c.ID)
}
