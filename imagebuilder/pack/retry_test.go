package pack

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"attune"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*attune.Retry{
		"": nil,
		"retry: {max_attempts: 1, backoff_seconds: 5}":   nil,
		"retry: {max_attempts: 3}":                       {MaxAttempts: 3, BackoffSeconds: 1, MaxBackoffSeconds: 60},
		"retry: {max_attempts: 3, backoff_seconds: 120}": {MaxAttempts: 3, BackoffSeconds: 120, MaxBackoffSeconds: 120},
		"retry: {max_attempts: 100, backoff_seconds: 0}": {MaxAttempts: 100, MaxBackoffSeconds: 60},
		"retry: {max_attempts: 2, backoff_seconds: 0.5, max_backoff_seconds: 0.5, " +
			"reasons: [worker_lost, exit_code], exit_codes: [75, 255]}": {
			MaxAttempts: 2, BackoffSeconds: 0.5, MaxBackoffSeconds: 0.5,
			Reasons: []attune.Reason{attune.ReasonWorkerLost, attune.ReasonExitCode}, ExitCodes: []int{75, 255},
		},
	} {
		if diff := cmp.Diff(want, forecastWith(t, text).Retry); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestWrongRetry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"retry: 3":                   {"actions/forecast.yaml:4: retry: must be an object, is a number"},
		"retry: {}":                  {":4: retry.max_attempts: is required"},
		"retry: {max_attempts: 0}":   {":4: retry.max_attempts: must be a whole number from 1 to 100"},
		"retry: {max_attempts: 101}": {":4: retry.max_attempts: must be a whole number from 1 to 100"},
		"retry:\n  max_attempts: 3\n  max_backof_seconds: 1": {
			`:6: retry.max_backof_seconds: is an unknown field; did you mean "max_backoff_seconds"?`,
		},
		"retry: {max_attempts: 3, backoff_seconds: -1, max_backoff_seconds: x}": {
			":4: retry.backoff_seconds: must be a number from 0 to 86400",
			":4: retry.max_backoff_seconds: must be a number, is a string",
		},
		"retry: {max_attempts: 3, backoff_seconds: 10, max_backoff_seconds: 5}": {
			":4: retry.max_backoff_seconds: must not be below backoff_seconds, which is 10",
		},
		"retry: {max_attempts: 3, reasons: exit_code}": {
			":4: retry.reasons: must be a list, is a string",
		},
		"retry: {max_attempts: 3, reasons: []}":         {":4: retry.reasons: names no reason"},
		"retry: {max_attempts: 3, reasons: [oom, oom]}": {":4: retry.reasons[1]: is there twice"},
		"retry: {max_attempts: 3, reasons: [exit-code]}": {
			`:4: retry.reasons[0]: "exit-code" is not a reason to try again; did you mean "exit_code"?`,
		},
		"retry: {max_attempts: 3, reasons: [cancel_requested]}": {
			`:4: retry.reasons[0]: "cancel_requested" is not a reason to try again; known are exit_code, exception, oom, `,
		},
		"retry: {max_attempts: 3, exit_codes: 75}": {
			":4: retry.exit_codes: must be a list, is a number",
		},
		"retry: {max_attempts: 3, exit_codes: []}": {
			":4: retry.exit_codes: names no exit status",
		},
		"retry: {max_attempts: 3, exit_codes: [0, 256, 75, 75, x, null]}": {
			"exit_codes[0]: must be a whole number from 1 to 255",
			"exit_codes[1]: must be",
			"exit_codes[3]: is there twice",
			"exit_codes[4]: must be a whole number, is a string",
			"exit_codes[5]: is empty",
		},
		"retry: {max_attempts: 3, exit_codes: [75], reasons: [oom]}": {
			":4: retry.exit_codes: narrows exit_code and exception, and reasons has neither",
		},
		"retry: {max_attempts: 1, reasons: [nothing]}": {
			`:4: retry.reasons[0]: "nothing" is not a reason`,
		},
	} {
		assertProblems(t, text, want, problemsIn(t, with(weather, "actions/forecast.yaml", keyed+text)))
	}
}
