package scheduler

import (
	"testing"
	"time"

	"attune"
)

func TestCancelByState(t *testing.T) {
	t.Parallel()
	q := setup(t, action("free", 0))
	cancel := func(id string) (attune.Status, error) {
		e, err := q.Cancel(t.Context(), id)
		return e.Status, err
	}

	queued := submit(t, q, "ops.free")
	for range 2 { // It is idempotent.
		if status, err := cancel(queued.ID); status != attune.StatusCancelled || err != nil {
			t.Errorf("queued: got %s, %v", status, err)
		}
	}
	submit(t, q, "ops.free")
	scheduled := admit(t, q, "w", 1)[0]
	// Only its worker knows whether it has begun.
	if status, err := cancel(scheduled.ID); status != attune.StatusCanceling || err != nil {
		t.Errorf("scheduled: got %s, %v", status, err)
	}
	begin(t, q, "w", scheduled)
	wantEnd(t, q, scheduled.ID, attune.StatusCanceling, "")
	finish(t, q, "w", scheduled, cancelled)
	wantEnd(t, q, scheduled.ID, attune.StatusCancelled, attune.ReasonCancelRequested)
	submit(t, q, "ops.free")
	running := admit(t, q, "w", 1)[0]
	begin(t, q, "w", running)
	if status, err := cancel(running.ID); status != attune.StatusCanceling || err != nil {
		t.Errorf("running: got %s, %v", status, err)
	}
	finish(t, q, "w", running, Outcome{Status: attune.StatusCompleted})
	if status, err := cancel(running.ID); status != attune.StatusCancelled || err != nil {
		t.Errorf("canceling ended as %s, %v", status, err)
	}
	submit(t, q, "ops.free")
	over := admit(t, q, "w", 1)[0]
	end(t, q, "w", over)
	if _, err := cancel(over.ID); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("completed: got %v, want a conflict", err)
	}
	if _, err := cancel("no-such-id"); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("unknown: got %v, want not found", err)
	}
}

func TestRemovePackEndsWhatWaits(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	submit(t, q, "ops.one")
	waits := submit(t, q, "ops.one")
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	if err := q.RemovePack(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	got, err := q.db.Executions.Get(t.Context(), waits.ID)
	if err != nil || got.Status != attune.StatusCancelled || got.Reason != attune.ReasonPackRemoved {
		t.Errorf("what waited is %s for %s (%v)", got.Status, got.Reason, err)
	}
	if got, err = q.db.Executions.Get(t.Context(), c.ID); err != nil || got.Status != attune.StatusRunning {
		t.Errorf("what ran is %s (%v), want running", got.Status, err)
	}
	if _, err := q.Submit(t.Context(), Submission{Action: "ops.one"}); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("submit to a removed pack: %v", err)
	}
	if err := q.RemovePack(t.Context(), "ops"); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("remove it again: %v", err)
	}
}

// TestCancelOfWhatItsWorkerDoesNotHold: it was given to the worker and the answer was lost; before the worker could ask
// again, it was cancelled. Nothing runs, and only the worker can end it.
func TestCancelOfWhatItsWorkerDoesNotHold(t *testing.T) {
	t.Parallel()
	b := newBench(t, exits(0), action("a", 1))
	b.host.full.Store(true)
	b.work(t, nil)
	e := submit(t, b.Queue, "ops.a")
	for b.host.looks.Load() == 0 { // until it has registered
		if !pause(t.Context(), time.Millisecond) {
			t.Fatal("it never began")
		}
	}
	var life workerLife
	if err := b.db.Pool().QueryRow(t.Context(), `select name, life::text from workers`).Scan(&life.Name,
		&life.ID); err != nil {
		t.Fatal(err)
	}
	claims := admitAs(t, b.Queue, life, 1)
	if len(claims) != 1 {
		t.Fatalf("admitted %v", ids(claims))
	}
	if _, err := b.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	if e := b.await(t, e.ID, over); e.Status != attune.StatusCancelled || e.Reason != attune.ReasonCancelRequested {
		t.Errorf("it ended as %s for %s", e.Status, e.Reason)
	}
}
