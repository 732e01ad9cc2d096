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
	o := Outcome{ExitCode: &exit.Code, Usage: exit.Usage}
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
		o.Status = attune.StatusFailed
		o.Reason, o.Failure = explain(exit)
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

// explain says why an action ended with another status than 0, and what it raised. A limit that it ran into tells more than
// the exception which came of that.
func explain(exit sandbox.Exit) (attune.Reason, *attune.Failure) {
	said := readFailure(exit.Failure)
	var raised *attune.Failure
	if said.ErrorType != "" || said.Error != "" {
		raised = &said.Failure
	}
	switch {
	case said.ErrorType == invalidResult:
		return attune.ReasonInvalidResult, raised
	case exit.OutOfPids:
		return attune.ReasonPids, raised
	case said.DiskFull:
		return attune.ReasonDisk, raised
	case raised != nil:
		return attune.ReasonException, raised
	default:
		return attune.ReasonExitCode, nil
	}
}

// said is what the runner writes down of a failure. All of it comes out of the sandbox: an action that makes its runner lie
// deceives nobody but those who read its own record.
type said struct {
	attune.Failure
	// DiskFull: an exception or the state of /tmp says so. Only somebody inside can tell, for the file system is gone with
	// the process, and the host opens no path that a sandbox can write to.
	DiskFull bool `json:"disk_full"`
}

// Bounds of what a record keeps of an exception; all of it is in stderr.log.
const (
	maxErrorBytes     = 8 << 10
	maxTracebackBytes = 64 << 10
)

// readFailure reads what the runner says; that is nothing where it cannot be read.
func readFailure(raw []byte) said {
	var f said
	if trimmed(raw) == nil || json.Unmarshal(raw, &f) != nil {
		return said{}
	}
	f.Error = strings.ToValidUTF8(f.Error[:min(len(f.Error), maxErrorBytes)], "")
	f.ErrorType = strings.ToValidUTF8(f.ErrorType[:min(len(f.ErrorType), maxErrorBytes)], "")
	// The end of a traceback says where it happened.
	f.Traceback = strings.ToValidUTF8(f.Traceback[max(0, len(f.Traceback)-maxTracebackBytes):], "")
	return f
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
