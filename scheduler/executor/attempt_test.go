package executor

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"attune"
	"attune/sandbox/sandboxtest"
	"attune/sandbox/sandboxtest/probe"
	"attune/scheduler"
)

func TestAttemptRunsToItsEnd(t *testing.T) {
	t.Parallel()
	h := setup(t, greets)
	c := h.claim(t, attune.Action{})
	a := h.prepare(t, c)
	o, err := a.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, o, attune.StatusCompleted, "")
	if *o.ExitCode != 0 || string(o.Result) != `{"ok": true}` || len(o.Outputs) != 1 || o.RetryAfter != nil {
		t.Errorf("the outcome is %+v", o)
	}
	for stream, want := range map[string]string{"stdout": "hello", "stderr": "careful"} {
		page, err := h.Logs.Page(t.Context(), prefixOf(c), stream, 0, 100, false)
		if err != nil || page.Content != want {
			t.Errorf("before it is stored, %s is %+v, %v", stream, page, err)
		}
	}
	a.Close(t.Context())
	h.wantKeys(t, c, "manifest.json", "output/note.txt", "result.json", "stderr.log", "stdout.log")
	h.wantContent(t, c, "stdout.log", "hello")
	h.wantContent(t, c, "stderr.log", "careful")
	if left, err := h.runtime.List(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("sandboxes are left: %v, %v", left, err)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	raises := func(_ context.Context, p probe.Process) int {
		_, _ = io.WriteString(p.Failure, `{"error":"e","error_type":"T"}`)
		return 1
	}
	for name, test := range map[string]struct {
		program sandboxtest.Program
		// stop ends the context of the run.
		stop    error
		timeout int
		status  attune.Status
		reason  attune.Reason
	}{
		"exit code": {exits(3), nil, 0, attune.StatusFailed, attune.ReasonExitCode},
		"exception": {raises, nil, 0, attune.StatusFailed, attune.ReasonException},
		"timeout":   {waits, nil, 1, attune.StatusTimeout, attune.ReasonDeadline},
		"cancelled": {waits, scheduler.ErrCancelled, 0, attune.StatusCancelled, attune.ReasonCancelRequested},
		"stopped":   {waits, scheduler.ErrStopping, 0, attune.StatusAbandoned, attune.ReasonWorkerStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, test.program)
			c := h.claim(t, attune.Action{TimeoutSeconds: test.timeout})
			a := h.prepare(t, c)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			if test.stop != nil {
				time.AfterFunc(50*time.Millisecond, func() { stop(test.stop) })
			}
			o, err := a.Run(ctx)
			if err != nil {
				t.Fatal(err)
			}
			a.Close(t.Context())
			wantOutcome(t, o, test.status, test.reason)
			h.wantKeys(t, c, "manifest.json", "stderr.log", "stdout.log")
		})
	}
}

// TestEachAttemptHasItsFiles: those of the last attempt are at the top, those of an earlier one in a folder of its own.
func TestEachAttemptHasItsFiles(t *testing.T) {
	t.Parallel()
	h := setup(t, func(_ context.Context, p probe.Process) int {
		_, _ = io.WriteString(p.Stdout, "hello")
		return 3
	})
	c := h.claim(t, attune.Action{Retry: &attune.Retry{MaxAttempts: 2, BackoffSeconds: 60, MaxBackoffSeconds: 60}})
	o := h.run(t, c)
	wantOutcome(t, o, attune.StatusFailed, attune.ReasonExitCode)
	if o.RetryAfter == nil || *o.RetryAfter < 30*time.Second || *o.RetryAfter > time.Minute {
		t.Errorf("the next attempt follows after %v", o.RetryAfter)
	}
	h.wantKeys(t, c, "attempt-1/manifest.json", "attempt-1/stderr.log", "attempt-1/stdout.log")
	c.Attempt = 2
	if o = h.run(t, c); o.RetryAfter != nil {
		t.Errorf("another attempt follows the last one after %v", o.RetryAfter)
	}
	h.wantKeys(t, c, "attempt-1/manifest.json", "attempt-1/stderr.log", "attempt-1/stdout.log",
		"manifest.json", "stderr.log", "stdout.log")
}

func TestPoolGivesItsSandboxes(t *testing.T) {
	t.Parallel()
	h := setup(t, exits(0))
	c := h.claim(t, attune.Action{Env: map[string]string{"LEVEL": "info"}})
	if _, there, err := Current(h.DB)(t.Context(), c.Action); there || err != nil {
		t.Errorf("an action that does not serve has a sandbox: %v, %v", there, err)
	}
	installed, _, err := h.DB.Installations.Claim(t.Context(), "installer")
	if err != nil {
		t.Fatal(err)
	}
	if err := scheduler.NewQueue(h.DB, h.Log).Activate(t.Context(), installed.ID, "installer", digest); err != nil {
		t.Fatal(err)
	}
	spec, there, err := Current(h.DB)(t.Context(), c.Action)
	if err != nil || !there {
		t.Fatalf("got %v, %v", there, err)
	}
	a := h.prepare(t, c).(*attempt)
	if diff := cmp.Diff(specOf(digest, a.action), spec); diff != "" {
		t.Errorf("what the pool makes is not what an attempt asks for: %s", diff)
	}
}
