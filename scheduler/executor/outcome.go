package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"attune"
	"attune/internal/jsonschema"
	"attune/sandbox"
	"attune/scheduler"
)

// invalidResult is the error type of a result that cannot be kept; the runners, too, name it so.
const invalidResult = "InvalidResult"

// notBegun is the outcome of an attempt that no code of the action was part of.
func notBegun(status attune.Status, reason attune.Reason) scheduler.Outcome {
	return scheduler.Outcome{Status: status, Reason: reason, NotBegun: true}
}

// outcomeOf turns the end of a sandbox into the end of its attempt. cause is why it was stopped, if it was. ctx bounds
// how long its result is looked at; one that cannot be kept is dropped from exit.
func outcomeOf(ctx context.Context, exit *sandbox.Exit, cause error, action attune.Action) scheduler.Outcome {
	o := scheduler.Outcome{ExitCode: &exit.Code, Usage: exit.Usage}
	switch {
	case exit.Stopped && errors.Is(cause, scheduler.ErrStopping):
		o.Status, o.Reason = attune.StatusAbandoned, attune.ReasonWorkerStopped
	case exit.Stopped:
		o.Status, o.Reason = attune.StatusCancelled, attune.ReasonCancelRequested
	case exit.TimedOut:
		o.Status, o.Reason = attune.StatusTimeout, attune.ReasonDeadline
	case exit.OutOfMemory:
		o.Status, o.Reason = attune.StatusFailed, attune.ReasonOutOfMemory
	case exit.Code != 0:
		o.Status = attune.StatusFailed
		o.Reason, o.Failure = explain(*exit)
	default:
		o.Status = attune.StatusCompleted
	}
	if problem := checkResult(ctx, exit.Result, action); problem != nil {
		exit.Result = nil
		switch {
		case o.Status != attune.StatusCompleted:
		case errors.Is(context.Cause(ctx), scheduler.ErrCancelled):
			o.Status, o.Reason = attune.StatusCancelled, attune.ReasonCancelRequested
		case ctx.Err() != nil:
			o.Status, o.Reason = attune.StatusTimeout, attune.ReasonDeadline
		default:
			o.Status, o.Reason = attune.StatusFailed, attune.ReasonInvalidResult
			o.Failure = &attune.Failure{Error: problem.Error(), ErrorType: invalidResult}
		}
		return o
	}
	if result := trimmed(exit.Result); len(result) <= attune.MaxResultBytes {
		o.Result = result
	}
	return o
}

// outcomeOfFailure is the outcome when the sandbox could not be run, or its end could not be learned. started reports
// whether the action's code may have run.
func outcomeOfFailure(err error, started bool) scheduler.Outcome {
	switch {
	case started:
		return scheduler.Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonSandboxLost}
	case errors.Is(err, sandbox.ErrUnsupported):
		return notBegun(attune.StatusFailed, attune.ReasonUnsupported)
	default:
		return notBegun(attune.StatusFailed, attune.ReasonSandboxFailed)
	}
}

// checkResult returns what is wrong with a result, in words for the action's author. It refuses what the database
// would.
func checkResult(ctx context.Context, raw []byte, action attune.Action) error {
	if len(raw) > sandbox.MaxResultFileBytes {
		return fmt.Errorf("the result is larger than %d MiB", sandbox.MaxResultFileBytes>>20)
	}
	result := trimmed(raw)
	if result == nil {
		return nil
	}
	schema, err := jsonschema.Compile(action.OutputSchema)
	if err != nil {
		return fmt.Errorf("the output schema of %s cannot be used", action.Ref)
	}
	return schema.Check(ctx, "result", result)
}

// trimmed is b without the white space around it, nil when nothing is left.
func trimmed(b []byte) json.RawMessage {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil
	}
	return b
}
