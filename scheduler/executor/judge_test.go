package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"attune"
	"attune/internal/strictjson"
	"attune/sandbox"
	"attune/sandbox/sandboxtest/probe"
	"attune/scheduler"
)

// returns leaves a result that is large enough for a mark.
func returns(_ context.Context, p probe.Process) int {
	_, _ = io.Copy(io.Discard, p.Stdin)
	_, _ = fmt.Fprintf(p.Result, "[%s0]", strings.Repeat("0,", markBytes))
	return 0
}

func TestOutcomeThatEndedItsJudgeIsNotReadAgain(t *testing.T) {
	t.Parallel()
	h := setup(t, returns)
	c := h.claim(t, attune.Action{Retry: &attune.Retry{
		MaxAttempts: 3, BackoffSeconds: 1, MaxBackoffSeconds: 1, Reasons: []attune.Reason{attune.ReasonInvalidResult},
	}})
	other := c
	other.Attempt = 2
	h.crash(t, c)
	if err := errors.Join(h.mark(c), h.mark(other)); err != nil {
		t.Fatal(err)
	}
	h.next(t, c)
	recovered, err := h.Recover(t.Context(), []scheduler.Claim{c})
	if err != nil || recovered[0].Attempt == nil {
		t.Fatalf("recovered %+v, %v", recovered, err)
	}
	o, err := recovered[0].Attempt.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, o, attune.StatusFailed, attune.ReasonInvalidResult)
	if o.RetryAfter != nil || o.Result != nil || o.Failure == nil {
		t.Errorf("the outcome is %+v", o)
	}
	// Until its outcome is recorded, another life would do the same.
	if marked, err := h.marked(c); !marked || err != nil {
		t.Errorf("its mark is gone: %v", err)
	}
	recovered[0].Attempt.Close(t.Context())
	h.wantMarks(t, 0)
}

// While a result is judged, or waits for that, its mark is there; a cancellation ends it.
func TestMarkAndCancellation(t *testing.T) {
	t.Parallel()
	h := setup(t, returns)
	release, err := strictjson.Reserve(t.Context(), sandbox.MaxResultFileBytes) // all the memory there is
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan scheduler.Outcome)
	a := h.prepare(t, h.claim(t, attune.Action{}))
	go func() {
		o, err := a.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		ended <- o
	}()
	eventually(t, func() bool {
		marks, err := os.ReadDir(h.Marks)
		return err == nil && len(marks) == 1
	})
	cancel(scheduler.ErrCancelled)
	wantOutcome(t, <-ended, attune.StatusCancelled, attune.ReasonCancelRequested)
	h.wantMarks(t, 0)
}

func (h *host) wantMarks(t *testing.T, n int) {
	t.Helper()
	marks, err := os.ReadDir(h.Marks)
	if err != nil || len(marks) != n {
		t.Errorf("there are the marks %v (%v), want %d", marks, err, n)
	}
}

// A cancellation, and the deadline, end the judging of a result.
func TestJudgingEnds(t *testing.T) {
	t.Parallel()
	exit := sandbox.Exit{Result: []byte("[" + strings.Repeat("0,", 1<<20) + "0]")}
	action := attune.Action{OutputSchema: json.RawMessage(`{"items":{"type":"number"}}`)}

	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(scheduler.ErrCancelled)
	o := outcomeOf(cancelled, exit, nil, action)
	wantOutcome(t, o, attune.StatusCancelled, attune.ReasonCancelRequested)

	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	wantOutcome(t, outcomeOf(late, exit, nil, action), attune.StatusTimeout, attune.ReasonDeadline)
}
