package scheduler

import (
	"context"
	"testing"

	"attune"
)

func maxWait(seconds int) attune.Policy { return attune.Policy{MaxWaitSeconds: &seconds} }

// lengthen makes all waits longer than they were.
func lengthen(t *testing.T, q *Queue, seconds int) {
	t.Helper()
	execute(t, q, `update waiting set queued_at = queued_at - $1 * interval '1 second',
		wait_until = wait_until - $1 * interval '1 second'`, seconds)
}

func expire(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.expire(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWaitThatIsTooLongEnds(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 1))
			p := maxWait(600)
			p.Concurrency = &attune.Concurrency{Limit: 1}
			setPolicy(t, q, scope, p)
			first, second := submit(t, q, "ops.a"), submit(t, q, "ops.a")
			wantAdmitted(t, q, 10, first)
			lengthen(t, q, 599)
			expire(t, q)
			third := submit(t, q, "ops.a")
			lengthen(t, q, 1)
			expire(t, q)
			e := wantEnd(t, q, second.ID, attune.StatusTimeout, attune.ReasonQueueTimeout)
			if e.StartedAt != nil || e.ScheduledAt != nil || e.FinishedAt == nil {
				t.Errorf("it says that it ran: %+v", e)
			}
			if got := get(t, q, third.ID); *got.Position != 1 {
				t.Errorf("the next one is at %d", *got.Position)
			}
			wantEnd(t, q, first.ID, attune.StatusScheduled, "")
		})
	}
}

// TestExpiredOneIsNotTaken although it has not been ended yet.
func TestExpiredOneIsNotTaken(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", maxWait(600)))
	submit(t, q, "ops.a")
	lengthen(t, q, 600)
	second := submit(t, q, "ops.a")
	wantAdmitted(t, q, 10, second)
}

// TestExpiredOneIsTakenWhenItMayWaitOn: it was passed over at first.
func TestExpiredOneIsTakenWhenItMayWaitOn(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", maxWait(600)))
	first := submit(t, q, "ops.a")
	lengthen(t, q, 600)
	second := submit(t, q, "ops.a")
	wantAdmitted(t, q, 10, second)
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, attune.Policy{})
	wantAdmitted(t, q, 10, first)
}

func TestMaxWaitIsSetWhileTheyWait(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), action("b", 0))
	first, other := submit(t, q, "ops.a"), submit(t, q, "ops.b")
	lengthen(t, q, 300)
	second := submit(t, q, "ops.a")
	setPolicy(t, q, attune.Scope{Pack: "ops"}, maxWait(1000))
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, maxWait(200)) // the shortest counts
	expire(t, q)
	wantEnd(t, q, first.ID, attune.StatusTimeout, attune.ReasonQueueTimeout)
	wantAdmitted(t, q, 10, other, second)
}

// TestMaxWaitOfWhatReturnsToItsPlace is the one that is in force then.
func TestMaxWaitOfWhatReturnsToItsPlace(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", maxWait(600)), action("b", 0))
	a, b := submit(t, q, "ops.a"), submit(t, q, "ops.b")
	lengthen(t, q, 300)
	wantAdmitted(t, q, 10, a, b)
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, attune.Policy{})
	setPolicy(t, q, attune.Scope{Action: "ops.b"}, maxWait(600))
	if err := q.release(t.Context(), lifeOf(t, q, "w"), nil); err != nil {
		t.Fatal(err)
	}
	lengthen(t, q, 300)
	expire(t, q)
	wantEnd(t, q, b.ID, attune.StatusTimeout, attune.ReasonQueueTimeout)
	wantAdmitted(t, q, 10, a)
}

func TestWorkerEndsWaitsByTimer(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("a", 1))
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	b.await(t, submit(t, b.Queue, "ops.a").ID, running)
	e := submit(t, b.Queue, "ops.a")
	p := concurrency(1)
	p.MaxWaitSeconds = new(int)
	*p.MaxWaitSeconds = 1
	setPolicy(t, b.Queue, attune.Scope{Action: "ops.a"}, p)
	if e = b.await(t, e.ID, over); e.Reason != attune.ReasonQueueTimeout {
		t.Errorf("it ended as %s for %s", e.Status, e.Reason)
	}
}

func TestWaitReturnsAtEachKindOfEnd(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", maxWait(600)), retried("r", 0, 2))
	other := NewQueue(q.db, q.log)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- other.Run(ctx) }()
	wait := func(e attune.Execution) (ended chan error) {
		ended = make(chan error, 2)
		for _, from := range []*Queue{q, other} {
			go func() { ended <- from.Wait(t.Context(), e.ID) }()
		}
		return ended
	}
	check := func(how string, ended chan error) {
		t.Helper()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
	e := submit(t, q, "ops.a")
	ended := wait(e)
	end(t, q, "w", admit(t, q, "w", 1)[0])
	check("completed", ended)
	check("long over", wait(e))

	e = submit(t, q, "ops.a")
	ended = wait(e)
	if _, err := q.Cancel(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	check("cancelled", ended)

	e = submit(t, q, "ops.a")
	ended = wait(e)
	lengthen(t, q, 600)
	expire(t, q)
	check("queue timeout", ended)

	e = submit(t, q, "ops.r")
	ended = wait(e)
	fail(t, q, admit(t, q, "w", 1)[0], retried("r", 0, 2).Retry, 1)
	if len(ended) > 0 {
		t.Error("it returned although the execution is tried again")
	}
	if err := q.RemovePack(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	check("pack removed", ended)

	done, stop := context.WithCancel(t.Context())
	stop()
	if err := q.Wait(done, "00000000-0000-7000-8000-000000000000"); err == nil {
		t.Error("a wait for nothing returned without an error")
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
