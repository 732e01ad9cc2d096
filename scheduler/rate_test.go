package scheduler

import (
	"fmt"
	"testing"
	"time"

	"attune"
)

// longPoll is a worker that would find out by itself only when the test is long over.
const longPoll = time.Hour

// age makes all starts older.
func age(t *testing.T, q *Queue, seconds int) {
	t.Helper()
	execute(t, q, `update starts set at = at - $1 * interval '1 second'`, seconds)
}

func TestRateLimitHoldsAtEachLevel(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 0))
			setPolicy(t, q, scope, rate(2, 600))
			var all []attune.Execution
			for range 6 {
				all = append(all, submit(t, q, "ops.a"))
			}
			end(t, q, "w", wantAdmitted(t, q, 1, all[0])[0])
			age(t, q, 400)
			wantAdmitted(t, q, 10, all[1])
			wantAdmitted(t, q, 10)
			age(t, q, 199)
			wantAdmitted(t, q, 10)
			age(t, q, 1) // the first start leaves the window, and the second stays
			wantAdmitted(t, q, 10, all[2])
			age(t, q, 600)
			wantAdmitted(t, q, 10, all[3], all[4])
			wantAdmitted(t, q, 10)
		})
	}
}

func TestRateLimitsHoldTogether(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), action("b", 0))
	setPolicy(t, q, attune.Scope{}, rate(4, 600))
	setPolicy(t, q, attune.Scope{Pack: "ops"}, rate(3, 300))
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, rate(1, 100))
	a := []attune.Execution{submit(t, q, "ops.a"), submit(t, q, "ops.a")}
	b := []attune.Execution{submit(t, q, "ops.b"), submit(t, q, "ops.b"), submit(t, q, "ops.b")}
	wantAdmitted(t, q, 10, a[0], b[0], b[1])
	age(t, q, 100)
	wantAdmitted(t, q, 10)
	age(t, q, 200)
	wantAdmitted(t, q, 10, a[1])
	wantAdmitted(t, q, 10)
	age(t, q, 300)
	wantAdmitted(t, q, 10, b[2])
}

func TestChangedRateCountsWhatHasStarted(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	scope := attune.Scope{Action: "ops.a"}
	setPolicy(t, q, scope, rate(4, 600))
	var all []attune.Execution
	for range 8 {
		all = append(all, submit(t, q, "ops.a"))
	}
	wantAdmitted(t, q, 10, all[:4]...)
	setPolicy(t, q, scope, rate(2, 600))
	wantAdmitted(t, q, 10)
	setPolicy(t, q, scope, rate(5, 600))
	wantAdmitted(t, q, 10, all[4])
	age(t, q, 100)
	setPolicy(t, q, scope, rate(1, 100))
	wantAdmitted(t, q, 10, all[5])
	setPolicy(t, q, scope, attune.Policy{})
	wantAdmitted(t, q, 10, all[6], all[7])
}

// TestMaintenanceKeepsTheStartsThatCount: what is thrown away cannot open the window early.
func TestMaintenanceKeepsTheStartsThatCount(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", rate(3, 600)))
	var all []attune.Execution
	for range 5 {
		all = append(all, submit(t, q, "ops.a"))
		age(t, q, 250)
		if err := q.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		admit(t, q, "w", 1)
	}
	if e := get(t, q, all[4].ID); e.Status != attune.StatusScheduled {
		t.Errorf("a fifth start after 1000 of 250 seconds each is %s", e.Status)
	}
	last := submit(t, q, "ops.a")
	wantAdmitted(t, q, 10) // three started within the last 500 seconds
	age(t, q, 100)
	wantAdmitted(t, q, 10, last)
}

// TestHeadStartsWhenTheWindowOpens, and not at the next poll.
func TestHeadStartsWhenTheWindowOpens(t *testing.T) {
	t.Parallel()
	b := newBench(t, exits(0), with("a", rate(2, 1)))
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	var all []attune.Execution
	for range 6 {
		all = append(all, submit(t, b.Queue, "ops.a"))
	}
	for i, e := range all {
		all[i] = b.await(t, e.ID, over)
		if i > 0 && all[i].ScheduledAt.Before(*all[i-1].ScheduledAt) {
			t.Errorf("number %d was taken before number %d", i, i-1)
		}
		if i < 2 {
			continue
		}
		if after := all[i].ScheduledAt.Sub(*all[i-2].ScheduledAt); after < time.Second {
			t.Errorf("number %d was taken %s after number %d", i, after, i-2)
		}
	}
}

// TestRateLimitedHeadOnABusyWorker: the worker has just one place, and it may be taken when the window opens.
func TestRateLimitedHeadOnABusyWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t, exits(0), with("a", rate(1, 1)), action("b", 0))
	b.work(t, func(c *WorkerConfig) { c.PollInterval, c.Capacity = longPoll, 1 })
	all := []attune.Execution{submit(t, b.Queue, "ops.a"), submit(t, b.Queue, "ops.a")}
	for range 20 {
		all = append(all, submit(t, b.Queue, "ops.b"))
	}
	for i, e := range all {
		if e = b.await(t, e.ID, over); e.Status != attune.StatusCompleted {
			t.Errorf("number %d ended as %s", i, e.Status)
		}
	}
}

// TestReleasedExecutionCountsAsStarted: a hand-back may cost a start, and never gives one away.
func TestReleasedExecutionCountsAsStarted(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", rate(2, 600)))
	first, second := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	wantAdmitted(t, q, 1, first)
	if err := q.release(t.Context(), lifeOf(t, q, "w"), nil); err != nil {
		t.Fatal(err)
	}
	wantAdmitted(t, q, 10, first)
	wantAdmitted(t, q, 10)
	age(t, q, 600)
	wantAdmitted(t, q, 10, second)
}

func TestRateLimitWithAKey(t *testing.T) {
	t.Parallel()
	a := keyed("a", 1)
	a.Policy.RateLimit = &attune.RateLimit{MaxExecutions: 2, WindowSeconds: 600}
	q := setup(t, a)
	var all []attune.Execution
	for i := range 4 {
		all = append(all, submitWith(t, q, "ops.a", fmt.Sprintf(`{"customer":%d}`, i/2)))
	}
	claims := wantAdmitted(t, q, 10, all[0], all[2])
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 10)
	age(t, q, 600)
	wantAdmitted(t, q, 10, all[1])
}
