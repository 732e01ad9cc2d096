package scheduler

import (
	"context"
	"testing"

	"attune"
)

func admitAs(t *testing.T, q *Queue, life workerLife, n int) []Claim {
	t.Helper()
	a, err := q.admit(t.Context(), life, n)
	if err != nil {
		t.Fatal(err)
	}
	return a.claims
}

// TestWorkerThatIsLostKeepsItsSlots: it may run what it was given, whatever the database was told of it.
func TestWorkerThatIsLostKeepsItsSlots(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]string{
		"lease has run out":  `update workers set lease_expires_at = clock_timestamp() - interval '1 second'`,
		"clock was set back": `update workers set lease_expires_at = clock_timestamp() + interval '10 minutes'`,
		"unknown":            `delete from workers`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 2))
			given, begun, third := submit(t, q, "ops.a"), submit(t, q, "ops.a"), submit(t, q, "ops.a")
			claims := wantAdmitted(t, q, 2, given, begun)
			begin(t, q, "w", claims[1])
			execute(t, q, lose)
			if err := q.maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ids(admitAs(t, q, withWorker(t, q, "other", 10, true), 10)); len(got) != 0 {
				t.Errorf("another took %v", got)
			}
			wantEnd(t, q, given.ID, attune.StatusScheduled, "")
			wantEnd(t, q, begun.ID, attune.StatusRunning, "")
			// Its next life knows that the one has not begun: it goes back to its position.
			if err := q.release(t.Context(), lifeOf(t, q, "w"), []int64{claims[1].Number}); err != nil {
				t.Fatal(err)
			}
			if e := get(t, q, given.ID); e.Status != attune.StatusQueued || *e.Position != 1 {
				t.Errorf("it is %s at %v", e.Status, e.Position)
			}
			if e := get(t, q, third.ID); *e.Position != 2 {
				t.Errorf("the one behind it is at %d", *e.Position)
			}
		})
	}
}

func TestWorkerWithoutALeaseTakesNothing(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	e := submit(t, q, "ops.a")
	life := withWorker(t, q, "w", 5, false)
	if got := admitAs(t, q, life, 5); len(got) != 0 {
		t.Errorf("it took %v", ids(got))
	}
	if err := q.heartbeat(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	if got := admitAs(t, q, life, 5); len(got) != 1 || got[0].ID != e.ID {
		t.Errorf("it took %v", ids(got))
	}
}

// TestStaleClaimOfTheSameWorker: it got the same execution again, and what it remembers of the first time is worth
// nothing.
func TestStaleClaimOfTheSameWorker(t *testing.T) {
	t.Parallel()
	a := retried("a", 1, 2)
	q := setup(t, a)
	e := submit(t, q, "ops.a")
	stale := wantAdmitted(t, q, 1, e)[0]
	if err := q.release(t.Context(), lifeOf(t, q, "w"), nil); err != nil {
		t.Fatal(err)
	}
	fresh := wantAdmitted(t, q, 1, e)[0]
	begin(t, q, "w", stale)
	wantEnd(t, q, e.ID, attune.StatusScheduled, "")
	begin(t, q, "w", fresh)
	finish(t, q, "w", stale, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode})
	settleAs(t, q, stale, a.Retry, Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode})
	wantEnd(t, q, e.ID, attune.StatusRunning, "")
	finish(t, q, "w", fresh, Outcome{Status: attune.StatusCompleted})
	wantEnd(t, q, e.ID, attune.StatusCompleted, "")
}

func TestForget(t *testing.T) {
	t.Parallel()
	named := retried("named", 0, 2, attune.ReasonWorkerLost)
	q := setup(t, action("a", 0), named)
	begun, stopping, again, held := submit(t, q, "ops.a"), submit(t, q, "ops.a"), submit(t, q, "ops.named"),
		submit(t, q, "ops.a")
	claims := wantAdmitted(t, q, 10, begun, stopping, again, held)
	for _, c := range claims[:3] {
		begin(t, q, "w", c)
	}
	if _, err := q.Cancel(t.Context(), stopping.ID); err != nil {
		t.Fatal(err)
	}
	if err := q.Forget(t.Context(), "w"); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("forget a worker that is alive: %v", err)
	}
	if err := q.Forget(t.Context(), "nobody"); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("forget a worker that is not there: %v", err)
	}
	wantEnd(t, q, begun.ID, attune.StatusRunning, "")
	expireLease(t, q, "w")
	if err := q.Forget(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, q, begun.ID, attune.StatusAbandoned, attune.ReasonWorkerLost)
	wantEnd(t, q, stopping.ID, attune.StatusAbandoned, attune.ReasonWorkerLost)
	if e := get(t, q, again.ID); e.RetryAt == nil || len(e.Attempts) != 1 ||
		e.Attempts[0].Reason != attune.ReasonWorkerLost {
		t.Errorf("the one that names the reason is %+v", e)
	}
	wantEnd(t, q, held.ID, attune.StatusAbandoned, attune.ReasonWorkerLost) // it may have begun
	if all, err := q.db.Workers.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("the workers are %+v, %v", all, err)
	}
	life := workerLife{Name: "w", ID: "00000000-0000-4000-8000-000000000000", Capacity: 1}
	if err := q.heartbeat(t.Context(), life); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("its heartbeat: %v", err)
	}
	finish(t, q, "w", claims[0], Outcome{Status: attune.StatusCompleted})
	wantEnd(t, q, begun.ID, attune.StatusAbandoned, attune.ReasonWorkerLost)
}

func TestCapacityOfTheNextLife(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	for range 10 {
		submit(t, q, "ops.a")
	}
	for _, capacity := range []int{3, 1, 2} {
		life := withWorker(t, q, "w", capacity, true)
		claims := admitAs(t, q, life, 10)
		if len(claims) != capacity {
			t.Errorf("with a capacity of %d it took %d", capacity, len(claims))
		}
		all, err := q.db.Workers.List(t.Context())
		if err != nil || len(all) != 1 || all[0].Capacity != capacity || len(all[0].Executions) != capacity {
			t.Errorf("with a capacity of %d the workers are %+v, %v", capacity, all, err)
		}
		for _, c := range claims {
			end(t, q, "w", c)
		}
	}
}

func TestSecondProcessOfAName(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	submit(t, q, "ops.a")
	first := withWorker(t, q, "w", 5, true)
	second := first
	second.ID = "00000000-0000-4000-8000-000000000002"
	if err := q.register(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if got := admitAs(t, q, first, 5); len(got) != 0 {
		t.Errorf("the first one took %v", ids(got))
	}
	if err := q.heartbeat(t.Context(), first); attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("the first one's heartbeat: %v", err)
	}
	if got := admitAs(t, q, second, 5); len(got) != 1 {
		t.Errorf("the second one took %v", ids(got))
	}
	// What the second one runs is not the first one's to release, which drains when its heartbeat fails.
	if err := q.release(t.Context(), first, nil); err != nil {
		t.Error(err)
	}
	if got := admitAs(t, q, second, 5); len(got) != 0 {
		t.Errorf("the first one released what the second one had: %v", ids(got))
	}
}

// TestForgottenWorkerEnds: its host came back. Nothing of what it had begun may run on.
func TestForgottenWorkerEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("a", 0))
	w, err := NewWorker(b.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	e := submit(t, b.Queue, "ops.a")
	b.await(t, e.ID, running)
	expireLease(t, b.Queue, "w")
	if err := b.Forget(t.Context(), "w"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; attune.CodeOf(err) != attune.CodeConflict {
		t.Errorf("it ended with %v", err)
	}
	wantEnd(t, b.Queue, e.ID, attune.StatusAbandoned, attune.ReasonWorkerLost)
}

func TestHeartbeatRenewsALeaseThatHasRunOut(t *testing.T) {
	t.Parallel()
	q := setup(t)
	life := workerLife{Name: "w", ID: "00000000-0000-4000-8000-000000000000", Capacity: 4,
		Labels: map[string]string{"zone": "a"}}
	if err := q.register(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	for _, alive := range []bool{false, true} {
		if alive {
			if err := q.heartbeat(t.Context(), life); err != nil {
				t.Fatal(err)
			}
		} else {
			expireLease(t, q, "w")
		}
		all, err := q.db.Workers.List(t.Context())
		if err != nil || len(all) != 1 || all[0].Alive != alive || all[0].Capacity != 4 || all[0].Labels["zone"] != "a" {
			t.Errorf("the workers are %+v, %v; want one whose lease holds: %v", all, err, alive)
		}
	}
}
