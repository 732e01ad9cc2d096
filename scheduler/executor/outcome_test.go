package executor

import (
	"encoding/json"
	"strings"
	"testing"

	"attune"
	"attune/sandbox"
	"attune/scheduler"
)

func TestOutcomeOfExit(t *testing.T) {
	t.Parallel()
	schema := attune.Action{Ref: "ops.a", OutputSchema: json.RawMessage(`{"type":"object","required":["n"]}`)}
	large := []byte(`"` + strings.Repeat("x", attune.MaxResultBytes) + `"`)
	for name, test := range map[string]struct {
		exit   sandbox.Exit
		cause  error
		action attune.Action
		status attune.Status
		reason attune.Reason
		result string
		raised bool
	}{
		"completed": {exit: sandbox.Exit{}, status: attune.StatusCompleted},
		"with a result": {
			exit: sandbox.Exit{Result: []byte(" {\"n\":1}\n")}, action: schema,
			status: attune.StatusCompleted, result: `{"n":1}`,
		},
		"null is a result": {
			exit: sandbox.Exit{Result: []byte("null")}, status: attune.StatusCompleted, result: "null",
		},
		"large, in the bucket": {exit: sandbox.Exit{Result: large}, status: attune.StatusCompleted},
		"exit code": {
			exit: sandbox.Exit{Code: 3}, status: attune.StatusFailed, reason: attune.ReasonExitCode,
		},
		"exception": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`{"error":"e","error_type":"T"}`)},
			status: attune.StatusFailed, reason: attune.ReasonException,
		},
		"returned what is no JSON": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`{"error":"e","error_type":"InvalidResult"}`)},
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
		"failure that is no JSON": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`oops`)},
			status: attune.StatusFailed, reason: attune.ReasonExitCode,
		},
		"result of a failed one": {
			exit:   sandbox.Exit{Code: 1, Result: []byte(`1`)},
			status: attune.StatusFailed, reason: attune.ReasonExitCode, result: "1",
		},
		"out of memory": {
			exit:   sandbox.Exit{Code: 137, OutOfMemory: true},
			status: attune.StatusFailed, reason: attune.ReasonOutOfMemory,
		},
		"out of pids": {
			exit: sandbox.Exit{Code: 2, OutOfPids: true}, status: attune.StatusFailed, reason: attune.ReasonPids,
		},
		"out of pids, and raised": {
			exit:   sandbox.Exit{Code: 1, OutOfPids: true, Failure: []byte(`{"error":"e","error_type":"T"}`)},
			status: attune.StatusFailed, reason: attune.ReasonPids, raised: true,
		},
		"out of pids, completed": {exit: sandbox.Exit{OutOfPids: true}, status: attune.StatusCompleted},
		"out of pids and memory": {
			exit:   sandbox.Exit{Code: 137, OutOfPids: true, OutOfMemory: true},
			status: attune.StatusFailed, reason: attune.ReasonOutOfMemory,
		},
		"disk is full": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`{"disk_full":true}`)},
			status: attune.StatusFailed, reason: attune.ReasonDisk,
		},
		"disk is full, and raised": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`{"error":"e","error_type":"OSError","disk_full":true}`)},
			status: attune.StatusFailed, reason: attune.ReasonDisk, raised: true,
		},
		"disk is full, completed": {
			exit: sandbox.Exit{Failure: []byte(`{"disk_full":true}`)}, status: attune.StatusCompleted,
		},
		"disk is full, timeout": {
			exit:   sandbox.Exit{Code: 143, TimedOut: true, Failure: []byte(`{"disk_full":true}`)},
			status: attune.StatusTimeout, reason: attune.ReasonDeadline,
		},
		"bad result, out of pids": {
			exit:   sandbox.Exit{Code: 1, OutOfPids: true, Failure: []byte(`{"error":"e","error_type":"InvalidResult"}`)},
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
		"failure of another kind": {
			exit:   sandbox.Exit{Code: 1, Failure: []byte(`{"disk_full":"yes"}`)},
			status: attune.StatusFailed, reason: attune.ReasonExitCode,
		},
		"timeout": {
			exit:   sandbox.Exit{Code: 143, TimedOut: true},
			status: attune.StatusTimeout, reason: attune.ReasonDeadline,
		},
		"cancelled": {
			exit: sandbox.Exit{Code: 143, Stopped: true}, cause: scheduler.ErrCancelled,
			status: attune.StatusCancelled, reason: attune.ReasonCancelRequested,
		},
		"worker stopped": {
			exit: sandbox.Exit{Code: 143, Stopped: true}, cause: scheduler.ErrStopping,
			status: attune.StatusAbandoned, reason: attune.ReasonWorkerStopped,
		},
		"result is not JSON": {
			exit:   sandbox.Exit{Result: []byte("{")},
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
		"result is not UTF-8": {
			exit:   sandbox.Exit{Result: []byte("\"\xff\"")},
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
		"result is nested deep": {
			exit:   sandbox.Exit{Result: []byte(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))},
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
		"result does not fit": {
			exit: sandbox.Exit{Result: []byte(`{}`)}, action: schema,
			status: attune.StatusFailed, reason: attune.ReasonInvalidResult,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := outcomeOf(t.Context(), &test.exit, test.cause, test.action)
			if got.Status != test.status || got.Reason != test.reason || string(got.Result) != test.result {
				t.Errorf("got %s for %q with result %.20s, want %s for %q with %q",
					got.Status, got.Reason, got.Result, test.status, test.reason, test.result)
			}
			raised := test.raised || test.reason == attune.ReasonException || test.reason == attune.ReasonInvalidResult
			if (got.Failure != nil) != raised {
				t.Errorf("failure is %+v", got.Failure)
			}
		})
	}
}
