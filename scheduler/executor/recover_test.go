package executor

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"

	"attune"
	"attune/sandbox"
	"attune/sandbox/sandboxtest"
	"attune/scheduler"
	"attune/storage/logs"
)

// goingOn is a Runtime with a sandbox that an earlier process gave to an attempt.
type goingOn struct {
	*sandboxtest.Fake
	attempt string
	sandbox sandbox.Sandbox
}

func (g *goingOn) Attach(ctx context.Context, execution string) (sandbox.Sandbox, string, error) {
	if execution == g.attempt {
		return g.sandbox, execution, nil
	}
	return g.Fake.Attach(ctx, execution)
}

// crash leaves of an attempt what a process leaves that dies while it runs.
func (h *host) crash(t *testing.T, c scheduler.Claim) {
	t.Helper()
	a := h.prepare(t, c).(*attempt)
	if err := a.openFiles(h.Logs.CreateAttempt); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*logs.Writer{a.files.stdout, a.files.stderr} {
		_, err := io.WriteString(w, "before ")
		if err := errors.Join(err, w.Leave()); err != nil {
			t.Fatal(err)
		}
	}
}

// next is the life after a crash, in which the sandbox of an attempt goes on.
func (h *host) next(t *testing.T, c scheduler.Claim) {
	t.Helper()
	spec := specOf(digest, h.prepare(t, c).(*attempt).action)
	spec.ID = attemptName(c)
	made, err := h.runtime.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	config := h.Config
	config.Logs, config.Runtime = h.openLogs(t, h.spool), &goingOn{h.runtime, spec.ID, made}
	h.Executor = open(t, config)
}

func TestRecoverByWhatTheHostRecorded(t *testing.T) {
	t.Parallel()
	h := setup(t, greets)
	goesOn := h.claim(t, attune.Action{Retry: &attune.Retry{
		MaxAttempts: 2, BackoffSeconds: 60, MaxBackoffSeconds: 60, Reasons: []attune.Reason{attune.ReasonWorkerLost},
	}})
	gone, lastGone, notStarted := goesOn, goesOn, goesOn
	gone.ID, lastGone.ID, notStarted.ID = uuid.NewString(), uuid.NewString(), uuid.NewString()
	lastGone.Attempt = 2
	held := []scheduler.Claim{goesOn, gone, lastGone, notStarted}
	for _, c := range held {
		h.crash(t, c)
	}
	h.runtime.Begin(attemptName(gone))
	h.runtime.Begin(attemptName(lastGone))
	if err := h.runtime.Leave(attemptName(gone)); err != nil {
		t.Fatal(err)
	}
	h.next(t, goesOn)

	recovered, err := h.Recover(t.Context(), held)
	if err != nil || len(recovered) != len(held) {
		t.Fatalf("recovered %+v, %v", recovered, err)
	}
	for i, c := range held {
		if recovered[i].Claim.ID != c.ID {
			t.Fatalf("recovered %+v, want claim %s at %d", recovered, c.ID, i)
		}
	}
	if left, err := h.runtime.List(t.Context()); err != nil || !slices.Equal(left, []string{attemptName(goesOn)}) {
		t.Errorf("there are the sandboxes %v (%v), want only the one that goes on", left, err)
	}
	wantAbandoned(t, recovered[1], true)
	wantAbandoned(t, recovered[2], false)
	if r := recovered[3]; r.Attempt != nil || r.Outcome != nil {
		t.Errorf("what has not started is recovered as %+v", r)
	}
	// A process that dies before the outcomes are recorded leaves the same to the next one.
	for _, c := range []scheduler.Claim{gone, lastGone} {
		if _, _, err := h.Runtime.Attach(t.Context(), attemptName(c)); !errors.Is(err, sandbox.ErrGone) {
			t.Errorf("before its outcome is recorded: %v", err)
		}
	}

	h.maintain(t)
	o, err := recovered[0].Attempt.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, o, attune.StatusCompleted, "")
	recovered[0].Attempt.Close(t.Context())
	h.wantKeys(t, goesOn, all...)
	h.wantContent(t, goesOn, "stdout.log", "before hello")
	h.awaitKeys(t, gone, "attempt-1/stderr.log", "attempt-1/stdout.log")
	h.awaitKeys(t, lastGone, "stderr.log", "stdout.log")
	eventually(t, func() bool {
		spooled, err := filepath.Glob(filepath.Join(h.spool, "*", "*.spool"))
		return err == nil && len(spooled) == 0
	})
	h.wantKeys(t, notStarted) // its next start, here or elsewhere, has the place for itself
	if _, _, err := h.Runtime.Attach(t.Context(), attemptName(gone)); !errors.Is(err, sandbox.ErrNotStarted) {
		t.Errorf("the record of what was given up is kept: %v", err)
	}
}

func wantAbandoned(t *testing.T, r scheduler.Recovered, again bool) {
	t.Helper()
	if r.Attempt != nil || r.Outcome == nil {
		t.Fatalf("what cannot go on is recovered as %+v", r)
	}
	wantOutcome(t, *r.Outcome, attune.StatusAbandoned, attune.ReasonWorkerLost)
	if (r.Outcome.RetryAfter != nil) != again {
		t.Errorf("another attempt follows attempt %d after %v", r.Claim.Attempt, r.Outcome.RetryAfter)
	}
}

func TestRecoverGivesUpWhatLostItsPack(t *testing.T) {
	t.Parallel()
	h := setup(t, exits(0))
	c := h.claim(t, attune.Action{})
	if _, err := h.DB.Pool().Exec(t.Context(), `delete from packs where ref = 'ops'`); err != nil {
		t.Fatal(err)
	}
	recovered, err := h.Recover(t.Context(), []scheduler.Claim{c})
	if err != nil || len(recovered) != 1 {
		t.Fatalf("recovered %+v, %v", recovered, err)
	}
	wantAbandoned(t, recovered[0], false)
}
