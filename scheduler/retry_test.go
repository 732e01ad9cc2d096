package scheduler

import (
	"context"
	"testing"
	"time"

	"attune"
)

func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	two, three := 2, 3
	lost := Outcome{Status: attune.StatusAbandoned, Reason: attune.ReasonWorkerLost}
	for name, test := range map[string]struct {
		retry   *attune.Retry
		attempt int
		outcome Outcome
		want    bool
	}{
		"no retry": {nil, 1, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode}, false},
		"by default": {&attune.Retry{MaxAttempts: 2}, 1,
			Outcome{Status: attune.StatusFailed, Reason: attune.ReasonException}, true},
		"deadline": {&attune.Retry{MaxAttempts: 2}, 1,
			Outcome{Status: attune.StatusTimeout, Reason: attune.ReasonDeadline}, true},
		"last attempt": {&attune.Retry{MaxAttempts: 2}, 2,
			Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode}, false},
		"completed": {&attune.Retry{MaxAttempts: 2}, 1, Outcome{Status: attune.StatusCompleted}, false},
		"cancelled": {&attune.Retry{MaxAttempts: 2}, 1,
			Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested}, false},
		"worker lost": {&attune.Retry{MaxAttempts: 2}, 1, lost, false},
		"worker lost, named": {&attune.Retry{MaxAttempts: 2, Reasons: []attune.Reason{attune.ReasonWorkerLost}}, 1, lost,
			true},
		"another reason named": {&attune.Retry{MaxAttempts: 2, Reasons: []attune.Reason{attune.ReasonDeadline}}, 1,
			Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode}, false},
		"that exit code": {&attune.Retry{MaxAttempts: 2, ExitCodes: []int{2}}, 1,
			Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode, ExitCode: &two}, true},
		"another exit code": {&attune.Retry{MaxAttempts: 2, ExitCodes: []int{2}}, 1,
			Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode, ExitCode: &three}, false},
		"codes and a deadline": {&attune.Retry{MaxAttempts: 2, ExitCodes: []int{2}}, 1,
			Outcome{Status: attune.StatusTimeout, Reason: attune.ReasonDeadline, ExitCode: &three}, true},
	} {
		if got := retries(test.retry, test.attempt, test.outcome); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestPausesDoubleUpToTheCeiling(t *testing.T) {
	t.Parallel()
	r := &attune.Retry{BackoffSeconds: 1.5, MaxBackoffSeconds: 10}
	for attempt, full := range map[int]float64{1: 1.5, 2: 3, 3: 6, 4: 10, 5: 10, 100: 10} {
		least, most := full, 0.0
		for range 200 {
			p := backoff(r, attempt).Seconds()
			least, most = min(least, p), max(most, p)
		}
		if least < full/2 || most > full || most-least < full/4 {
			t.Errorf("after attempt %d the pause is between %g and %g, want half of %g to all of it", attempt, least, most, full)
		}
	}
	if p := backoff(&attune.Retry{}, 3); p != 0 {
		t.Errorf("without a backoff it is %s", p)
	}
}

func TestRetryKeepsRecordsAndGoesToTheEnd(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 3)
	q := setup(t, a)
	e, next := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	fail(t, q, wantAdmitted(t, q, 10, e)[0], a.Retry, 7)
	got := get(t, q, e.ID)
	if got.Status != attune.StatusQueued || got.Position != nil || got.RetryAt == nil || got.Attempt != 2 {
		t.Errorf("while it pauses it is %+v", got)
	}
	if pause := time.Until(*got.RetryAt); pause < 20*time.Second || pause > 61*time.Second {
		t.Errorf("it pauses for %s, want 30 to 60 seconds", pause)
	}
	c := wantAdmitted(t, q, 10, next)[0] // its slot is free
	later := submit(t, q, "ops.a")
	promoteAll(t, q)
	last := submit(t, q, "ops.a")
	if got = get(t, q, e.ID); got.Position == nil || *got.Position != 2 || got.RetryAt != nil {
		t.Errorf("after the pause it is %+v", got)
	}
	end(t, q, "w", c)
	end(t, q, "w", wantAdmitted(t, q, 10, later)[0])
	c = wantAdmitted(t, q, 10, e)[0]
	if c.Attempt != 2 {
		t.Errorf("it is attempt %d", c.Attempt)
	}
	begin(t, q, "w", c)
	settleAs(t, q, c, a.Retry, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonException,
		Failure: &attune.Failure{Error: "no", ErrorType: "E"}})
	end(t, q, "w", wantAdmitted(t, q, 10, last)[0])
	promoteAll(t, q)
	fail(t, q, wantAdmitted(t, q, 10, e)[0], a.Retry, 9)
	got = wantEnd(t, q, e.ID, attune.StatusFailed, attune.ReasonExitCode)
	if got.Attempt != 3 || *got.ExitCode != 9 || len(got.Attempts) != 2 || !got.CreatedAt.Equal(e.CreatedAt) {
		t.Fatalf("at the end it is %+v", got)
	}
	one, two := got.Attempts[0], got.Attempts[1]
	if one.Attempt != 1 || *one.ExitCode != 7 || one.Reason != attune.ReasonExitCode || one.Worker != "w" ||
		one.StartedAt == nil ||
		two.Attempt != 2 || two.Failure == nil || two.Failure.Error != "no" || two.ScheduledAt.Before(one.FinishedAt) {
		t.Errorf("its attempts were %+v", got.Attempts)
	}
}

func TestPromotionKeepsTheOrderOfPauses(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 2)
	q := setup(t, a)
	var all []attune.Execution
	for range 5 {
		all = append(all, submit(t, q, "ops.a"))
	}
	for _, c := range admit(t, q, "w", 10) {
		fail(t, q, c, a.Retry, 1)
	}
	for i, e := range all {
		execute(t, q, `update delayed set retry_at = clock_timestamp() - $2 * interval '1 second' where id = $1`, e.ID, i+1)
	}
	if err := q.promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantAdmitted(t, q, 10, all[4], all[3], all[2], all[1], all[0])
}

func TestCancelDuringThePause(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 3)
	q := setup(t, a)
	e := submit(t, q, "ops.a")
	fail(t, q, admit(t, q, "w", 1)[0], a.Retry, 1)
	if _, err := q.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	got := wantEnd(t, q, e.ID, attune.StatusCancelled, attune.ReasonCancelRequested)
	if len(got.Attempts) != 1 {
		t.Errorf("its attempts are %+v", got.Attempts)
	}
	promoteAll(t, q)
	wantAdmitted(t, q, 10)
}

// TestCancelledAttemptIsNotTriedAgain, whatever it ended with.
func TestCancelledAttemptIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 3)
	q := setup(t, a)
	e := submit(t, q, "ops.a")
	fail(t, q, admit(t, q, "w", 1)[0], a.Retry, 1)
	promoteAll(t, q)
	c := wantAdmitted(t, q, 1, e)[0]
	begin(t, q, "w", c)
	if _, err := q.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	settleAs(t, q, c, a.Retry, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode})
	if got := wantEnd(t, q, e.ID, attune.StatusCancelled, attune.ReasonCancelRequested); got.Attempt != 2 ||
		len(got.Attempts) != 1 {
		t.Errorf("it is %+v", got)
	}
}

func TestRemovePackEndsWhatPauses(t *testing.T) {
	t.Parallel()
	a := retried("a", 2, 3)
	q := setup(t, a)
	pauses, runs := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	claims := admit(t, q, "w", 2)
	fail(t, q, claims[0], a.Retry, 1)
	begin(t, q, "w", claims[1])
	if err := q.RemovePack(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, q, pauses.ID, attune.StatusCancelled, attune.ReasonPackRemoved)
	// What runs goes on to its end, and there is nothing to try again.
	settleAs(t, q, claims[1], a.Retry, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode})
	wantEnd(t, q, runs.ID, attune.StatusFailed, attune.ReasonExitCode)
}

// TestWorkerTriesAgain at the end of each pause.
func TestWorkerTriesAgain(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 3)
	a.Retry.BackoffSeconds = 0.3
	b := newBench(t, func(_ context.Context, c Claim) (Outcome, error) { return exited(3 - c.Attempt), nil }, a)
	b.work(t, func(c *WorkerConfig) { c.PollInterval, c.Capacity = longPoll, 1 })
	e := submit(t, b.Queue, "ops.a")
	e = b.await(t, e.ID, over)
	if e.Status != attune.StatusCompleted || e.Attempt != 3 || len(e.Attempts) != 2 || *e.Attempts[0].ExitCode != 2 ||
		*e.Attempts[1].ExitCode != 1 {
		t.Fatalf("it ended as %+v", e)
	}
}

func TestAttemptThatTheWorkerStoppedIsTriedAgainWhereNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, retried("a", 0, 2, attune.ReasonWorkerStopped), retried("b", 0, 2))
	stop := b.work(t, nil)
	named, other := submit(t, b.Queue, "ops.a"), submit(t, b.Queue, "ops.b")
	b.await(t, named.ID, running)
	b.await(t, other.ID, running)
	stop()
	if e := get(t, b.Queue, named.ID); e.RetryAt == nil || len(e.Attempts) != 1 ||
		e.Attempts[0].Reason != attune.ReasonWorkerStopped {
		t.Errorf("the one that names it is %+v", e)
	}
	wantEnd(t, b.Queue, other.ID, attune.StatusAbandoned, attune.ReasonWorkerStopped)
}
