package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"attune"
	"attune/internal/jsonschema"
	"attune/sandbox"
)

// invalidResult is the error type of a result that cannot be kept; the runners, too, name it so.
const invalidResult = "InvalidResult"

// judge turns the end of a sandbox into the end of its execution. cause is why the sandbox was stopped, if it was.
func judge(exit sandbox.Exit, cause error, action attune.Action) Outcome {
	o := Outcome{ExitCode: &exit.Code}
	switch {
	case exit.Stopped && errors.Is(cause, errStopping):
		o.Status, o.Reason = attune.StatusAbandoned, attune.ReasonWorkerStopped
	case exit.Stopped:
		o.Status, o.Reason = attune.StatusCancelled, attune.ReasonCancelRequested
	case exit.TimedOut:
		o.Status, o.Reason = attune.StatusTimeout, attune.ReasonDeadline
	case exit.OutOfMemory:
		o.Status, o.Reason = attune.StatusFailed, attune.ReasonOutOfMemory
	case exit.Code != 0:
		o.Status, o.Reason = attune.StatusFailed, attune.ReasonExitCode
		if o.Failure = failure(exit.Failure); o.Failure != nil {
			o.Reason = attune.ReasonException
			if o.Failure.ErrorType == invalidResult {
				o.Reason = attune.ReasonInvalidResult
			}
		}
	default:
		o.Status = attune.StatusCompleted
	}
	if problem := checkResult(exit.Result, action); problem != nil {
		if o.Status == attune.StatusCompleted {
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

// Bounds of what a record keeps of an exception; all of it is in stderr.log.
const (
	maxErrorBytes     = 8 << 10
	maxTracebackBytes = 64 << 10
)

// failure reads what the runner says of an exception; nil when it says nothing that can be read.
func failure(raw []byte) *attune.Failure {
	var f attune.Failure
	if trimmed(raw) == nil || json.Unmarshal(raw, &f) != nil {
		return nil
	}
	f.Error = strings.ToValidUTF8(f.Error[:min(len(f.Error), maxErrorBytes)], "")
	f.ErrorType = strings.ToValidUTF8(f.ErrorType[:min(len(f.ErrorType), maxErrorBytes)], "")
	// The end of a traceback says where it happened.
	f.Traceback = strings.ToValidUTF8(f.Traceback[max(0, len(f.Traceback)-maxTracebackBytes):], "")
	return &f
}

// checkResult says what is wrong with a result, in words for the action's author. It lets nothing pass that the database
// would refuse.
func checkResult(raw []byte, action attune.Action) error {
	if len(raw) > sandbox.MaxResultFileBytes {
		return fmt.Errorf("the result is larger than %d MiB", sandbox.MaxResultFileBytes>>20)
	}
	result := trimmed(raw)
	if result == nil {
		return nil
	}
	if !utf8.Valid(result) {
		return errors.New("the result is not UTF-8")
	}
	schema, err := jsonschema.Compile(action.OutputSchema)
	if err != nil {
		return fmt.Errorf("the output schema of %s cannot be used", action.Ref)
	}
	return schema.Check("result", result)
}
