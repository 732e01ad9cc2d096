package executor

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"attune"
	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
	"attune/scheduler"
)

func wantOutcome(t *testing.T, o scheduler.Outcome, status attune.Status, reason attune.Reason) {
	t.Helper()
	if o.Status != status || o.Reason != reason {
		t.Errorf("it ended as %s for %q, want %s for %q", o.Status, o.Reason, status, reason)
	}
}

// wantKeys wants these objects of an execution, and no others.
func (h *host) wantKeys(t *testing.T, c scheduler.Claim, keys ...string) {
	t.Helper()
	if got := h.bucket.Keys(prefixOf(c)); !slices.Equal(got, keys) {
		t.Errorf("the bucket has %q, want %q", got, keys)
	}
}

func (h *host) awaitKeys(t *testing.T, c scheduler.Claim, keys ...string) {
	t.Helper()
	eventually(t, func() bool { return slices.Equal(h.bucket.Keys(prefixOf(c)), keys) })
}

func (h *host) wantContent(t *testing.T, c scheduler.Claim, key, content string) {
	t.Helper()
	if got := string(h.bucket.Read(prefixOf(c) + key)); got != content {
		t.Errorf("%s is %q, want %q", key, got, content)
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to be in time")
		}
	}
}

// exits ends at once.
func exits(code int) sandboxtest.Program {
	return func(context.Context, probe.Process) int { return code }
}

// waits says so and runs until it is asked to end.
func waits(terminated context.Context, p probe.Process) int {
	_, _ = io.WriteString(p.Stdout, "waiting")
	<-terminated.Done()
	return 143
}

// greets leaves something of each kind.
func greets(_ context.Context, p probe.Process) int {
	_, _ = io.Copy(io.Discard, p.Stdin)
	_, _ = io.WriteString(p.Stdout, "hello")
	_, _ = io.WriteString(p.Stderr, "careful")
	_, _ = io.WriteString(p.Result, `{"ok": true}`)
	_, _ = io.WriteString(p.Collected, "note.txt\x005\x00hello")
	return 0
}
