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
	if marked, err := h.marked(c); marked || err != nil {
		t.Errorf("after one end of the worker, its outcome is not judged again (%v)", err)
	}
	if err := h.mark(c); err != nil {
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
	again := exit
	action := attune.Action{OutputSchema: json.RawMessage(`{"items":{"type":"number"}}`)}

	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(scheduler.ErrCancelled)
	o := outcomeOf(cancelled, &exit, nil, action)
	wantOutcome(t, o, attune.StatusCancelled, attune.ReasonCancelRequested)

	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	wantOutcome(t, outcomeOf(late, &again, nil, action), attune.StatusTimeout, attune.ReasonDeadline)
}

// What a cancelled execution has left is kept, where it can be, and nothing that is no JSON gets into the bucket.
func TestResultOfACancelledExecution(t *testing.T) {
	t.Parallel()
	for result, keys := range map[string][]string{
		`{"n":1}`: {"manifest.json", "result.json", "stderr.log", "stdout.log"},
		`{"n":`:   {"manifest.json", "stderr.log", "stdout.log"},
	} {
		begun := make(chan struct{})
		h := setup(t, func(terminated context.Context, p probe.Process) int {
			_, _ = io.WriteString(p.Result, result)
			close(begun)
			<-terminated.Done()
			return sandbox.StoppedCode
		})
		c := h.claim(t, attune.Action{})
		ctx, cancel := context.WithCancelCause(t.Context())
		a := h.prepare(t, c)
		go func() {
			<-begun
			cancel(scheduler.ErrCancelled)
		}()
		o, err := a.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		a.Close(t.Context())
		wantOutcome(t, o, attune.StatusCancelled, attune.ReasonCancelRequested)
		if kept := len(keys) == 4; (string(o.Result) == result) != kept {
			t.Errorf("of %s, the record has %s", result, o.Result)
		}
		h.wantKeys(t, c, keys...)
	}
}
