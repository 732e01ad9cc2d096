package executor

import (
	"encoding/json"

	"attune"
	"attune/sandbox"
)

// explain returns why an action ended with another status than 0, and what it raised. A limit that it ran into is a
// better reason than the exception that came of it.
func explain(exit sandbox.Exit) (attune.Reason, *attune.Failure) {
	f := readFailure(exit.Failure)
	var raised *attune.Failure
	if f.ErrorType != "" || f.Error != "" {
		raised = &f.Failure
	}
	switch {
	case f.ErrorType == invalidResult:
		return attune.ReasonInvalidResult, raised
	case exit.OutOfPids:
		return attune.ReasonPids, raised
	case f.DiskFull:
		return attune.ReasonDisk, raised
	case raised != nil:
		return attune.ReasonException, raised
	default:
		return attune.ReasonExitCode, nil
	}
}

// failure is what the runner writes about a failure. It comes out of the sandbox: an action can forge it, and deceives
// only the readers of its own record.
type failure struct {
	attune.Failure
	// DiskFull: an exception or the state of /tmp shows that it is full. Only the runner can see this: the file system
	// goes with the process, and the host opens no path that a sandbox can write to.
	DiskFull bool `json:"disk_full"`
}

// readFailure is empty where the runner wrote nothing, or nothing readable. What is no text in it is replaced.
func readFailure(raw []byte) failure {
	var f failure
	if len(raw) > sandbox.MaxFailureFileBytes || json.Unmarshal(raw, &f) != nil {
		return failure{}
	}
	f.Failure = f.Cut()
	return f
}
