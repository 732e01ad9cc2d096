package main

import (
	"strings"
	"testing"
)

func TestWrongServiceFlags(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"--history-age=30":              `"30" is not a length of time: write`,
		"--history-age=-1d":             `"-1d" is not a length of time`,
		"--history-age=1000000000000d":  `is not a length of time`, // more than a Duration holds
		"--history-age=213504d":         `is not a length of time`, // the same, and a small one when it wraps around
		"--history-count=-1":            "write how many executions to keep",
		"--history-count=many":          "--history-count",
		"--label=rack":                  `expected "<key>=<value>"`,
		"--unknown-flag-for-the-server": "unknown flag",
	} {
		got := invocation{}.call(t, "up", flag)
		if got.status != exitUsage || !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, "up --help") {
			t.Errorf("%s: status %d: %s", flag, got.status, got.stderr)
		}
	}
}
