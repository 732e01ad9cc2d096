package main

import (
	"strings"
	"testing"
	"time"
)

func TestHistoryAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30d": 30 * day, "12h": 12 * time.Hour, "0": 0, "0d": 0} {
		var a historyAge
		if err := a.UnmarshalText([]byte(text)); err != nil || time.Duration(a) != want {
			t.Errorf("%s is %s, %v", text, time.Duration(a), err)
		}
	}
}

func TestWrongServiceFlags(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"--history-age=30":              `"30" is not an age: write 30d or 12h`,
		"--history-age=-1d":             `"-1d" is not an age`,
		"--history-age=1000000000000d":  `is not an age`, // more than a Duration holds
		"--history-age=213504d":         `is not an age`, // the same, and a small one when it wraps around
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
