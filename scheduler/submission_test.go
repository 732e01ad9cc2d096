package scheduler

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"attune"
)

func quota(n int) attune.Policy {
	return attune.Policy{Quota: &attune.Quota{MaxExecutions: n, PeriodSeconds: attune.MaxPolicySeconds}}
}

func maxWaiting(n int) attune.Policy { return attune.Policy{MaxWaiting: &n} }

func method(limit int, m attune.Method) attune.Policy {
	return attune.Policy{Concurrency: &attune.Concurrency{Limit: limit, Method: m}}
}

func TestQuotaHoldsAtEachLevel(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 0))
			setPolicy(t, q, scope, quota(2))
			first, second := submit(t, q, "ops.a"), submit(t, q, "ops.a")
			end(t, q, "w", wantAdmitted(t, q, 10, first, second)[0]) // what is over counts, too
			if after := wantRejected(t, q, "ops.a"); after <= 0 || after > attune.MaxPolicySeconds*time.Second {
				t.Errorf("it may come back after %s", after)
			}
			execute(t, q, `update gates set quota_period = quota_period - 1`)
			submit(t, q, "ops.a")
			setPolicy(t, q, scope, quota(1))
			wantRejected(t, q, "ops.a")
			setPolicy(t, q, scope, quota(2))
			submit(t, q, "ops.a")
			wantRejected(t, q, "ops.a")
		})
	}
}

// TestRejectedSubmissionCostsNothing: what the outer policy refuses does not use up the inner one's quota.
func TestRejectedSubmissionCostsNothing(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0))
	setPolicy(t, q, attune.Scope{Action: "ops.a"}, quota(3))
	setPolicy(t, q, attune.Scope{Pack: "ops"}, quota(5))
	setPolicy(t, q, attune.Scope{}, maxWaiting(1))
	submit(t, q, "ops.a")
	for range 5 {
		wantRejected(t, q, "ops.a")
	}
	setPolicy(t, q, attune.Scope{}, attune.Policy{})
	submit(t, q, "ops.a")
	submit(t, q, "ops.a")
	wantRejected(t, q, "ops.a")
}

func TestMaxWaitingHoldsAtEachLevel(t *testing.T) {
	t.Parallel()
	for name, scope := range scopes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 1))
			first := submit(t, q, "ops.a")
			p := maxWaiting(2)
			p.Concurrency = &attune.Concurrency{Limit: 1}
			setPolicy(t, q, scope, p)
			second := submit(t, q, "ops.a")
			if after := wantRejected(t, q, "ops.a"); after <= 0 {
				t.Errorf("it may come back after %s", after)
			}
			wantAdmitted(t, q, 1, first)
			submit(t, q, "ops.a")
			wantRejected(t, q, "ops.a")
			if err := q.release(t.Context(), lifeOf(t, q, "w"), nil); err != nil {
				t.Fatal(err)
			}
			wantRejected(t, q, "ops.a") // three wait now
			if _, err := q.Cancel(t.Context(), second.ID); err != nil {
				t.Fatal(err)
			}
			wantRejected(t, q, "ops.a")
			wantAdmitted(t, q, 1, first)
			submit(t, q, "ops.a")
		})
	}
}

func TestRejectCountsTheSlotsOfTheQueue(t *testing.T) {
	t.Parallel()
	a := keyed("a", 2)
	a.Policy.Concurrency.Method = attune.MethodReject
	q := setup(t, a)
	one, two := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	wantRejected(t, q, "ops.a")
	submitWith(t, q, "ops.a", `{"customer":"another"}`)
	claims := wantAdmitted(t, q, 2, one, two)
	wantRejected(t, q, "ops.a")
	begin(t, q, "w", claims[0])
	wantRejected(t, q, "ops.a")
	finish(t, q, "w", claims[0], Outcome{Status: attune.StatusCompleted})
	submit(t, q, "ops.a")
	wantRejected(t, q, "ops.a")
}

func TestCancelOldest(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", method(2, attune.MethodCancelOldest)))
	runs, held := submit(t, q, "ops.a"), submit(t, q, "ops.a")
	claims := wantAdmitted(t, q, 10, runs, held)
	begin(t, q, "w", claims[0])
	third := submit(t, q, "ops.a")
	if got := get(t, q, runs.ID); got.Status != attune.StatusCanceling {
		t.Errorf("the oldest one, which runs, is %s", got.Status)
	}
	if got := get(t, q, held.ID); got.Status != attune.StatusScheduled {
		t.Errorf("the second one is %s", got.Status)
	}
	fourth := submit(t, q, "ops.a")
	wantAdmitted(t, q, 10) // what is being stopped has its slot still
	finish(t, q, "w", claims[1], Outcome{Status: attune.StatusCancelled, Reason: attune.ReasonCancelRequested})
	wantEnd(t, q, held.ID, attune.StatusCancelled, attune.ReasonSuperseded)
	fifth := submit(t, q, "ops.a")
	wantEnd(t, q, third.ID, attune.StatusCancelled, attune.ReasonSuperseded)
	wantAdmitted(t, q, 10, fourth)
	finish(t, q, "w", claims[0], Outcome{Status: attune.StatusCompleted})
	wantEnd(t, q, runs.ID, attune.StatusCancelled, attune.ReasonSuperseded)
	wantAdmitted(t, q, 10, fifth)
}

// TestCancelOldestReturnsThePosition that is left when the older ones are gone.
func TestCancelOldestReturnsThePosition(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", method(1, attune.MethodCancelOldest)))
	for range 3 {
		e := submit(t, q, "ops.a")
		if got := get(t, q, e.ID); *got.Position != 1 || *e.Position != 1 {
			t.Errorf("the answer says position %d, and it is at %d", *e.Position, *got.Position)
		}
	}
}

func TestCancelOldestByKey(t *testing.T) {
	t.Parallel()
	a := keyed("a", 1)
	a.Policy.Concurrency.Method = attune.MethodCancelOldest
	q := setup(t, a)
	ada, bob := submitWith(t, q, "ops.a", `{"customer":"ada"}`), submitWith(t, q, "ops.a", `{"customer":"bob"}`)
	newest := submitWith(t, q, "ops.a", `{"customer":"ada"}`)
	wantEnd(t, q, ada.ID, attune.StatusCancelled, attune.ReasonSuperseded)
	wantAdmitted(t, q, 10, bob, newest)
}

// TestWorkerStopsWhatIsSuperseded and then runs the newest.
func TestWorkerStopsWhatIsSuperseded(t *testing.T) {
	t.Parallel()
	b := newBench(t, waits, with("a", method(1, attune.MethodCancelOldest)))
	b.work(t, func(c *WorkerConfig) { c.PollInterval = longPoll })
	first := submit(t, b.Queue, "ops.a")
	b.await(t, first.ID, running)
	second := submit(t, b.Queue, "ops.a")
	b.await(t, second.ID, running)
	wantEnd(t, b.Queue, first.ID, attune.StatusCancelled, attune.ReasonSuperseded)
}

// TestConcurrentSubmissionsMeetTheNumbersExactly: of many at once, exactly as many get in as may.
func TestConcurrentSubmissionsMeetTheNumbersExactly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy attune.Policy
		in     int
	}{
		"quota":         {quota(7), 7},
		"max_waiting":   {maxWaiting(7), 7},
		"reject":        {method(7, attune.MethodReject), 7},
		"cancel_oldest": {method(7, attune.MethodCancelOldest), 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := setup(t, action("a", 0))
			setPolicy(t, q, attune.Scope{Action: "ops.a"}, test.policy)
			other := NewQueue(q.db, q.log)
			var mu sync.Mutex
			in, wrong := 0, error(nil)
			var group sync.WaitGroup
			for i := range 50 {
				group.Go(func() {
					_, err := []*Queue{q, other}[i%2].Submit(t.Context(), Submission{Action: "ops.a"})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						in++
					} else if attune.CodeOf(err) != attune.CodeRejected {
						wrong = err
					}
				})
			}
			group.Wait()
			if in != test.in || wrong != nil {
				t.Errorf("%d got in, want %d; %v", in, test.in, wrong)
			}
			if claims := admit(t, q, "w", 100); len(claims) != 7 {
				t.Errorf("%d are there to run, want 7", len(claims))
			}
		})
	}
}

func TestBatchStopsAtTheFirstRejection(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), with("b", quota(2)))
	batch := func(actions ...string) ([]attune.Execution, error) {
		var all []Submission
		for _, a := range actions {
			all = append(all, Submission{Action: a})
		}
		return q.SubmitBatch(t.Context(), nil, all)
	}
	_, err := batch("ops.a", "ops.b", "ops.b", "ops.b", "ops.a")
	e := asError(err)
	if e == nil || e.Code != attune.CodeRejected || e.RetryAfter <= 0 || !strings.Contains(e.Message, "executions[3]") {
		t.Errorf("it says %v", err)
	}
	wantAdmitted(t, q, 10)
	made, err := batch("ops.b", "ops.b")
	if err != nil {
		t.Fatal(err)
	}
	wantAdmitted(t, q, 10, made...)
	wantRejected(t, q, "ops.b")
}

func TestBatchWithABadMember(t *testing.T) {
	t.Parallel()
	strict := action("strict", 0)
	strict.Parameters = json.RawMessage(`{"type":"object","required":["n"]}`)
	q := setup(t, action("a", 0), strict)
	for name, test := range map[string]struct {
		bad   Submission
		field string
	}{
		"parameters": {Submission{Action: "ops.strict"}, "executions.1.parameters.n"},
		"action":     {Submission{Action: "ops.nothing"}, "executions.1"},
		"json":       {Submission{Action: "ops.a", Parameters: json.RawMessage(`{`)}, "executions.1.parameters"},
	} {
		_, err := q.SubmitBatch(t.Context(), nil, []Submission{{Action: "ops.a"}, test.bad, {Action: "ops.a"}})
		e := asError(err)
		if e == nil || e.Code != attune.CodeInvalid || len(e.Problems) != 1 || e.Problems[0].Field != test.field {
			t.Errorf("%s: got %+v", name, err)
		}
	}
	wantAdmitted(t, q, 10)
}

// TestBatchKeepsItsOrder, across queues too.
func TestBatchKeepsItsOrder(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), action("b", 0), action("c", 0))
	submit(t, q, "ops.c") // its queue is the oldest
	var all []Submission
	for range 4 {
		all = append(all, Submission{Action: "ops.b"}, Submission{Action: "ops.a"}, Submission{Action: "ops.c"})
	}
	made, err := q.SubmitBatch(t.Context(), nil, all)
	if err != nil {
		t.Fatal(err)
	}
	admit(t, q, "w", 1)
	wantAdmitted(t, q, 100, made...)
}
