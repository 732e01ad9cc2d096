package scheduler

import (
	"testing"

	"attune"
)

func TestLimitHoldsAtEachLevel(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 0))
			setPolicy(t, q, scope, concurrency(2))
			first, second, third := submit(t, q, "ops.a"), submit(t, q, "ops.a"), submit(t, q, "ops.a")
			claims := wantAdmitted(t, q, 10, first, second)
			wantAdmitted(t, q, 10)
			begin(t, q, "w", claims[0])
			wantAdmitted(t, q, 10)
			if _, err := q.Cancel(t.Context(), first.ID); err != nil {
				t.Fatal(err)
			}
			wantAdmitted(t, q, 10) // one that is being stopped holds its slot
			finish(t, q, "w", claims[0], Outcome{Status: attune.StatusCompleted})
			wantAdmitted(t, q, 10, third)
		})
	}
}

func TestLimitsHoldTogether(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), action("b", 0), action("c", 0))
	installedAs(t, q.db, "web", action("a", 0))
	setPolicy(t, q, attune.Scope{}, concurrency(5))
	setPolicy(t, q, attune.Scope{Pack: "ops"}, concurrency(3))
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, concurrency(2))
	var a, b, web []attune.Execution
	for range 4 {
		a, b = append(a, submit(t, q, "ops.a")), append(b, submit(t, q, "ops.b"))
	}
	for range 4 {
		web = append(web, submit(t, q, "web.a"))
	}
	claims := wantAdmitted(t, q, 10, a[0], b[0], a[1], web[0], web[1])
	end(t, q, "w", claims[1]) // ops has room for one, and ops.a has none
	claims = append(claims, wantAdmitted(t, q, 10, b[1])...)
	end(t, q, "w", claims[3])
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 1, a[2]) // older than what web has
	wantAdmitted(t, q, 10, web[2])
}

func TestLoweredLimitLetsRunningOnesFinish(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 3))
	var all []attune.Execution
	for range 5 {
		all = append(all, submit(t, q, "ops.a"))
	}
	claims := wantAdmitted(t, q, 10, all[:3]...)
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, concurrency(1))
	for _, c := range claims {
		wantAdmitted(t, q, 10)
		end(t, q, "w", c)
	}
	wantAdmitted(t, q, 10, all[3])
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, concurrency(2))
	wantAdmitted(t, q, 10, all[4])
}

func TestPolicyOfThePackReturns(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	scope := attune.Scope{Action: "ops.a"}
	setPolicy(t, q, scope, attune.Policy{}) // the operator says that nothing bounds it
	var all []attune.Execution
	for range 4 {
		all = append(all, submit(t, q, "ops.a"))
	}
	claims := wantAdmitted(t, q, 2, all[:2]...)
	if err := q.DeletePolicy(t.Context(), scope); err != nil {
		t.Fatal(err)
	}
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 10)
	end(t, q, "w", claims[1])
	wantAdmitted(t, q, 10, all[2])
	if err := q.DeletePolicy(t.Context(), scope); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("delete it again: %v", err)
	}
}

// TestWiderGateWakesTheWorker: it is woken, and does not find out by polling.
func TestWiderGateWakesTheWorker(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, action("a", 1))
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	var all []attune.Execution
	for range 3 {
		all = append(all, submit(t, b.Queue, "ops.a"))
	}
	b.await(t, all[0].ID, running)
	setPolicy(t, b.Queue, attune.Scope{Action: "ops.a"}, concurrency(2))
	b.await(t, all[1].ID, running)
	setPolicy(t, b.Queue, attune.Scope{Action: "ops.a"}, attune.Policy{})
	b.await(t, all[2].ID, running)
}

func TestNewVersionBringsItsPolicies(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1), action("b", 0))
	one, two := submitWith(t, q, "ops.a", `{"customer":1}`), submitWith(t, q, "ops.a", `{"customer":2}`)
	setPolicy(t, q, attune.Scope{Action: "ops.b"}, concurrency(1))
	a := keyed("a", 1)
	a.Policy.Concurrency.Key = nil
	installed(t, q.db, a, action("b", 0))
	claims := wantAdmitted(t, q, 10, one)
	end(t, q, "w", claims[0])
	wantAdmitted(t, q, 10, two)
	first := submit(t, q, "ops.b")
	submit(t, q, "ops.b")
	wantAdmitted(t, q, 10, first) // what the operator said stays
}
