package scheduler

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"attune"
	"attune/scheduler/history"
)

func triedAgain(name string, limit int) attune.Action {
	a := action(name, limit)
	a.Retry = &attune.Retry{
		MaxAttempts: 20, BackoffSeconds: 0.01, MaxBackoffSeconds: 0.01, Reasons: []attune.Reason{attune.ReasonWorkerLost},
	}
	return a
}

// TestWorkerKilledAtEveryPoint: whatever a worker was about when it was killed, the next life of it brings everything
// to its end.
func TestWorkerKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	q, recorder, url := setupRecorded(t, action("once", 1), triedAgain("again", 2))
	starts := filepath.Join(t.TempDir(), "starts")
	end := time.Now().Add(long(t))
	var all []string
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		for _, point := range []string{pointClaimed, pointStarted, pointRecorded, pointFinishing} {
			for range 2 {
				all = append(all, submit(t, q, "ops.once").ID, submit(t, q, "ops.again").ID)
			}
			h := startHelper(t, url, starts, point)
			h.await(t, "at "+point)
			h.kill(t)
		}
	}
	h := startHelper(t, url, starts, "")
	awaitDrained(t, q)
	h.dismiss(t)
	expectSingleStarts(t, starts)
	expectDrained(t, recorder, all)
}

// TestWorkerStoppedPastItsLease: a worker that is stopped for longer than its lease, and then goes on, takes what it
// was given to its end, whatever it had begun of it, and no other begins that meanwhile.
func TestWorkerStoppedPastItsLease(t *testing.T) {
	t.Parallel()
	for _, point := range []string{pointClaimed, pointStarted} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			q, recorder, url := setupRecorded(t, action("one", 1))
			starts := filepath.Join(t.TempDir(), "starts")
			e := submit(t, q, "ops.one")
			h := startHelper(t, url, starts, point)
			h.await(t, "at "+point)
			signal(t, h, syscall.SIGSTOP)
			loseHelper(t, q)
			if claims := admit(t, q, "w", 1); len(claims) != 0 {
				t.Errorf("another worker is given %v", ids(claims))
			}
			signal(t, h, syscall.SIGCONT)
			_ = h.orders.Close()
			awaitDrained(t, q)
			h.kill(t)
			expectSingleStarts(t, starts)
			expectDrained(t, recorder, []string{e.ID})
			wantEnd(t, q, e.ID, attune.StatusCompleted, "")
		})
	}
}

func signal(t *testing.T, h *helped, s syscall.Signal) {
	t.Helper()
	if err := h.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// loseHelper lets the lease of the helper run out, and does what any other worker does then.
func loseHelper(t *testing.T, q *Queue) {
	t.Helper()
	tag, err := q.db.Pool().Exec(t.Context(),
		`update workers set lease_expires_at = clock_timestamp() where name = 'helper'`)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("end the lease: %v, %v", tag, err)
	}
	if err := q.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// expectDrained demands that a history is a good one in which everything has come to its end.
func expectDrained(t *testing.T, recorder *history.Recorder, acknowledged []string) {
	t.Helper()
	all, err := recorder.Transactions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report(t, all, history.CheckDrained(all, acknowledged))
}
