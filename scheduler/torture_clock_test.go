package scheduler

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
)

// stepClock steps the database's clock: nothing in the database tells it from all times in there being shifted the
// other way.
func stepClock(t *testing.T, q *Queue, by time.Duration) {
	t.Helper()
	err := q.admission(t.Context(), func(tx pgx.Tx) error {
		for table, columns := range map[string][]string{
			"waiting":  {"created_at", "queued_at", "wait_until"},
			"delayed":  {"created_at", "retry_at"},
			"slots":    {"created_at", "queued_at", "wait_until", "scheduled_at", "started_at"},
			"starts":   {"at"},
			"workers":  {"started_at", "lease_expires_at"},
			"attempts": {"scheduled_at", "started_at", "finished_at"},
		} {
			for _, column := range columns {
				if _, err := tx.Exec(t.Context(), "update "+table+" set "+column+" = "+column+" - $1::interval", by); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	rated := action("rated", 0)
	rated.Policy.RateLimit = &attune.RateLimit{MaxExecutions: 1, WindowSeconds: 1}
	q, recorder, _ := setupRecorded(t, rated)
	first, second := submit(t, q, "ops.rated"), submit(t, q, "ops.rated")
	life := lifeOf(t, q, "w")
	held := admitAs(t, q, life, 2)
	if len(held) != 1 {
		t.Fatalf("admitted %v", held)
	}
	stepClock(t, q, -time.Hour)
	// What a worker does every few seconds.
	if err := q.heartbeat(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	if err := q.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It keeps what it had, and the window that was open stays open no longer than it is long.
	end(t, q, "w", held[0])
	third := submit(t, q, "ops.rated")
	for _, want := range []string{second.ID, third.ID} {
		if claims := admitWithin(t, q, life.Name, 2*time.Second); len(claims) != 1 || claims[0].ID != want {
			t.Fatalf("admitted %v, want %s", ids(claims), want)
		} else {
			end(t, q, "w", claims[0])
		}
	}
	expectDrained(t, recorder, []string{first.ID, second.ID, third.ID})
}

// admitWithin repeats until somebody is admitted, or for a while.
func admitWithin(t *testing.T, q *Queue, worker string, d time.Duration) []Claim {
	t.Helper()
	for deadline := time.Now().Add(d); time.Now().Before(deadline) && pause(t.Context(), 20*time.Millisecond); {
		if claims := admit(t, q, worker, 2); len(claims) > 0 {
			return claims
		}
	}
	return nil
}

func TestClockIsSetForward(t *testing.T) {
	t.Parallel()
	q, recorder, _ := setupRecorded(t, action("one", 1), action("long", 1))
	runs := submit(t, q, "ops.long")
	begun := admit(t, q, "w", 1)[0]
	begin(t, q, "w", begun)
	first, second := submit(t, q, "ops.one"), submit(t, q, "ops.one")
	held := admit(t, q, "w", 1)[0]
	stepClock(t, q, time.Hour)
	// Before the worker can renew its lease, another one finds it run out.
	other := lifeOf(t, q, "other")
	if err := q.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It keeps what it has: it may have begun.
	if claims := admitAs(t, q, other, 5); len(claims) != 0 {
		t.Errorf("another one is given %v", ids(claims))
	}
	end(t, q, "w", held)
	claims := admitAs(t, q, other, 5)
	if len(claims) != 1 || claims[0].ID != second.ID {
		t.Fatalf("admitted %v, want %s alone", ids(claims), second.ID)
	}
	end(t, q, other.Name, claims[0])
	finish(t, q, "w", begun, Outcome{Status: attune.StatusCompleted})
	expectDrained(t, recorder, []string{runs.ID, first.ID, second.ID})
}

// TestClockIsSetBackDuringAPause: a pause between two attempts ends as long after the step as it was to last.
func TestClockIsSetBackDuringAPause(t *testing.T) {
	t.Parallel()
	a := action("again", 0)
	a.Retry = &attune.Retry{MaxAttempts: 2, BackoffSeconds: 0.1, MaxBackoffSeconds: 0.1}
	q, recorder, _ := setupRecorded(t, a)
	e := submit(t, q, "ops.again")
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	failed := Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode}
	settleAs(t, q, c, a.Retry, failed)
	stepClock(t, q, -time.Hour)
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline) &&
		pause(t.Context(), 50*time.Millisecond); {
		if err := q.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		if claims := admit(t, q, "w", 1); len(claims) == 1 {
			end(t, q, "w", claims[0])
			break
		}
	}
	expectDrained(t, recorder, []string{e.ID})
}
