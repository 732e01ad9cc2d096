package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"attune"
)

func why(t *testing.T, q *Queue, e attune.Execution) attune.Explanation {
	t.Helper()
	x, err := q.Why(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if x.Execution != e.ID || x.Action != e.Action || x.Summary == "" {
		t.Errorf("it explains %+v", x)
	}
	return x
}

// wantGate checks all of a gate but its times.
func wantGate(t *testing.T, x attune.Explanation, position int, want attune.Gate, words string,
	holders ...Claim) attune.Gate {
	t.Helper()
	if x.Status != attune.StatusQueued || x.Position == nil || *x.Position != position || x.Gate == nil {
		t.Fatalf("it is %s at %v behind %+v: %s", x.Status, x.Position, x.Gate, x.Summary)
	}
	g := *x.Gate
	if g.Kind != want.Kind || g.Scope != want.Scope || g.Limit != want.Limit || g.Taken != want.Taken ||
		g.WindowSeconds != want.WindowSeconds {
		t.Errorf("it waits for %+v, want %+v", g, want)
	}
	if !strings.Contains(x.Summary, words) || !strings.Contains(x.Summary, fmt.Sprintf("number %d ", position)) {
		t.Errorf("the summary is %q, want %q in it", x.Summary, words)
	}
	var held []string
	for _, h := range g.Holders {
		held = append(held, h.Execution)
		if h.Worker == "" || h.Action == "" || h.ScheduledAt.IsZero() ||
			h.StartedAt == nil == (h.Status == attune.StatusRunning) {
			t.Errorf("a holder is %+v", h)
		}
	}
	if fmt.Sprint(held) != fmt.Sprint(ids(holders)) {
		t.Errorf("%v hold it, want %v", held, ids(holders))
	}
	return g
}

func TestWhyConcurrency(t *testing.T) {
	t.Parallel()
	one := 1
	byKey, total := keyed("a", 1), keyed("a", 5)
	total.Policy.Concurrency.Total = &one
	for name, test := range map[string]struct {
		action attune.Action
		scope  *attune.Scope
		gate   string
	}{
		"queue":  {byKey, nil, "queues/ops.a"},
		"total":  {total, nil, "actions/ops.a"},
		"action": {action("a", 1), nil, "actions/ops.a"},
		"pack":   {action("a", 5), &attune.Scope{Pack: "ops"}, "packs/ops"},
		"global": {action("a", 5), &attune.Scope{}, "global"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, test.action)
			if test.scope != nil {
				setPolicy(t, q, *test.scope, concurrency(1))
			}
			submit(t, q, "ops.a")
			claims := admit(t, q, "w", 1)
			begin(t, q, "w", claims[0])
			first, second := submit(t, q, "ops.a"), submit(t, q, "ops.a")
			want := attune.Gate{Kind: attune.GateConcurrency, Scope: test.gate, Limit: 1, Taken: 1}
			wantGate(t, why(t, q, first), 1, want, "1 of 1 slots of "+test.gate+" are taken", claims...)
			x := why(t, q, second)
			wantGate(t, x, 2, want, "the first of them waits", claims...)
			if x.ExpectedStartAt != nil {
				t.Errorf("nothing has ended yet, and it is expected to start at %s", x.ExpectedStartAt)
			}
		})
	}
}

// TestWhyLooksAtItsOwnQueue: another key's queue, or another action's limit, does not hold it.
func TestWhyLooksAtItsOwnQueue(t *testing.T) {
	t.Parallel()
	q := setup(t, keyed("a", 1), action("b", 1))
	submitWith(t, q, "ops.a", `{"customer":1}`)
	submit(t, q, "ops.b")
	admit(t, q, "w", 10)
	submitWith(t, q, "ops.a", `{"customer":1}`)
	e := submitWith(t, q, "ops.a", `{"customer":2}`)
	if x := why(t, q, e); x.Gate != nil || *x.Position != 1 || x.Key != e.Key {
		t.Errorf("it says %+v", x)
	}
}

func TestWhyRateLimit(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 0))
			setPolicy(t, q, scope, rate(2, 600))
			for range 2 {
				submit(t, q, "ops.a")
				end(t, q, "w", admit(t, q, "w", 1)[0])
				age(t, q, 100)
			}
			now := time.Now()
			gate := map[string]string{"global": "global", "pack": "packs/ops", "action": "actions/ops.a"}[name]
			want := attune.Gate{Kind: attune.GateRateLimit, Scope: gate, Limit: 2, Taken: 2, WindowSeconds: 600}
			for i, after := range []time.Duration{400 * time.Second, 500 * time.Second, 1000 * time.Second, 1100 * time.Second} {
				x := why(t, q, submit(t, q, "ops.a"))
				g := wantGate(t, x, i+1, want, "2 of the 2 executions of "+gate+" that may start within 10m0s have started")
				if g.OpensAt == nil || g.OpensAt.Sub(now.Add(400*time.Second)).Abs() > 20*time.Second {
					t.Errorf("it opens at %v, want %s", g.OpensAt, now.Add(400*time.Second))
				}
				if x.ExpectedStartAt == nil || x.ExpectedStartAt.Sub(now.Add(after)).Abs() > 20*time.Second {
					t.Errorf("number %d is expected to start at %v, want %s", i+1, x.ExpectedStartAt, now.Add(after))
				}
			}
		})
	}
}

func TestWhyBackoff(t *testing.T) {
	t.Parallel()
	a := retried("a", 0, 3)
	q := setup(t, a)
	e := submit(t, q, "ops.a")
	fail(t, q, admit(t, q, "w", 1)[0], a.Retry, 1)
	x := why(t, q, e)
	got := get(t, q, e.ID)
	if g := x.Gate; x.Position != nil || g == nil || g.Kind != attune.GateBackoff || g.Taken != 1 ||
		!g.OpensAt.Equal(*got.RetryAt) ||
		!x.ExpectedStartAt.Equal(*got.RetryAt) || !strings.Contains(x.Summary, "once") {
		t.Errorf("it says %+v, %+v", x, x.Gate)
	}
}

// withWorker makes a worker known, alive or dead.
func withWorker(t *testing.T, q *Queue, name string, capacity int, alive bool) workerLife {
	t.Helper()
	life := lifeOf(t, q, name)
	life.Capacity = capacity
	if err := q.register(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	if !alive {
		expireLease(t, q, name)
	}
	return life
}

func expireLease(t *testing.T, q *Queue, worker string) {
	t.Helper()
	execute(t, q, `update workers set lease_expires_at = clock_timestamp() - interval '1 second' where name = $1`, worker)
}

func TestWhyWorkers(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	first := submit(t, q, "ops.a")
	none := attune.Gate{Kind: attune.GateWorkers, Scope: "global"}
	wantGate(t, why(t, q, first), 1, none, "no worker is alive")
	life := withWorker(t, q, "w", 2, true)
	if x := why(t, q, first); x.Gate != nil {
		t.Errorf("with a free worker it says %+v", x.Gate)
	}
	submit(t, q, "ops.a")
	claims := admitAs(t, q, life, 2)
	if len(claims) != 2 {
		t.Fatalf("admitted %v", ids(claims))
	}
	next := submit(t, q, "ops.a")
	wantGate(t, why(t, q, next), 1, attune.Gate{Kind: attune.GateWorkers, Scope: "global", Limit: 2, Taken: 2},
		"all 2 slots of the workers that are alive are taken", claims...)
	withWorker(t, q, "gone", 5, false)
	submit(t, q, "ops.a")
	wantGate(t, why(t, q, next), 1, attune.Gate{Kind: attune.GateWorkers, Scope: "global", Limit: 2, Taken: 2},
		"all 2 slots", claims...)
	// The executions on a dead worker say nothing about when there will be another one.
	execute(t, q, `insert into finished select gen_random_uuid(), '', 1, action, pack, pack_version, installation_id,
			image_digest, parameters, 'completed', '', 0, null, null, 'w', now(), now(), now() - interval '1 minute', now()
		from waiting limit 1`)
	expireLease(t, q, "w")
	x := why(t, q, next)
	wantGate(t, x, 1, none, "no worker is alive")
	if x.ExpectedStartAt != nil {
		t.Errorf("without a worker it is expected to start at %s", x.ExpectedStartAt)
	}
}

func TestWhyExpectsByRecentDurations(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 2))
	for range 3 {
		submit(t, q, "ops.a")
		end(t, q, "w", admit(t, q, "w", 1)[0])
	}
	execute(t, q, `update finished set started_at = finished_at - interval '100 seconds'`)
	submit(t, q, "ops.a")
	submit(t, q, "ops.a")
	for _, c := range admit(t, q, "w", 2) {
		begin(t, q, "w", c)
	}
	execute(t, q, `update slots s set started_at = clock_timestamp() - r.rank * interval '40 seconds'
		from (select id, row_number() over (order by ticket) as rank from slots where status <> 'free') r
		where s.id = r.id and s.status <> 'free'`)
	now := time.Now()
	for i, after := range []time.Duration{20, 60, 120, 160, 220} {
		x := why(t, q, submit(t, q, "ops.a"))
		if x.ExpectedStartAt == nil || x.ExpectedStartAt.Sub(now.Add(after*time.Second)).Abs() > 15*time.Second {
			t.Errorf("number %d is expected to start at %v, want %s", i+1, x.ExpectedStartAt, now.Add(after*time.Second))
		}
	}
}

func TestWhyWhenNothingHoldsIt(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 5))
	lifeOf(t, q, "w")
	first, second := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	if x := why(t, q, first); x.Gate != nil || *x.Position != 1 || x.ExpectedStartAt == nil ||
		x.Summary != "It is number 1 in its queue, and its turn comes at once." {
		t.Errorf("the first: %+v", x)
	}
	if x := why(t, q, second); x.Gate != nil || *x.Position != 2 ||
		x.Summary != "It is number 2 in its queue, and its turn comes at once." {
		t.Errorf("the second: %+v", x)
	}
	c := wantAdmitted(t, q, 1, first)[0]
	if x := why(t, q, first); x.Gate != nil || x.Position != nil || x.Summary != "It does not wait: it is scheduled." {
		t.Errorf("scheduled: %+v", x)
	}
	end(t, q, "w", c)
	if x := why(t, q, first); x.Gate != nil || x.Summary != "It is over." {
		t.Errorf("completed: %+v", x)
	}
	if _, err := q.Why(t.Context(), "00000000-0000-7000-8000-000000000000"); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("unknown: %v", err)
	}
}
