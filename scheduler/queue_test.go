package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"attune"
	"attune/storage"
)

func TestLimitOneRunsInOrder(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	first, second, third := submit(t, q, "ops.one"), submit(t, q, "ops.one"), submit(t, q, "ops.one")
	for i, e := range []attune.Execution{first, second, third} {
		if e.Position == nil || *e.Position != i+1 {
			t.Errorf("execution %d has position %v, want %d", i+1, e.Position, i+1)
		}
	}
	for _, want := range []attune.Execution{first, second, third} {
		claims := admit(t, q, "w", 10)
		if len(claims) != 1 || claims[0].ID != want.ID {
			t.Fatalf("admitted %v, want only %s", ids(claims), want.ID)
		}
		if more := admit(t, q, "w", 10); len(more) != 0 {
			t.Fatalf("admitted %v beyond the limit", ids(more))
		}
		end(t, q, "w", claims[0])
	}
}

// The slow submitter draws its ticket after the fast one, or the fast one waits for its commit: never does a later
// ticket commit first. Seen from outside, the positions that submitters are told while nothing leaves are all
// different, and the start order is theirs.
func TestConcurrentSubmissionsStartInCommitOrder(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	const n = 100
	var mu sync.Mutex
	byPosition := make(map[int]string)
	var submitters sync.WaitGroup
	for range n {
		submitters.Go(func() {
			e, err := q.Submit(t.Context(), Submission{Action: "ops.one"})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			byPosition[*e.Position] = e.ID
		})
	}
	submitters.Wait()
	if len(byPosition) != n {
		t.Fatalf("%d submissions were told %d different positions", n, len(byPosition))
	}
	for position := 1; position <= n; position++ {
		claims := admit(t, q, "w", 1)
		if len(claims) != 1 || claims[0].ID != byPosition[position] {
			t.Fatalf("start %d is %v, want %s", position, ids(claims), byPosition[position])
		}
		end(t, q, "w", claims[0])
	}
}

func TestSeveralWorkersNeverExceedTheLimit(t *testing.T) {
	t.Parallel()
	const limit, n, workers = 3, 60, 4
	q := setup(t, action("three", limit))
	for range n {
		submit(t, q, "ops.three")
	}
	var mu sync.Mutex
	running, done := 0, 0
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			name := fmt.Sprint("w", w)
			life := lifeOf(t, q, name)
			for {
				a, err := q.admit(t.Context(), life, 2)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				running += len(a.claims)
				if running > limit {
					t.Errorf("%d run at once, the limit is %d", running, limit)
				}
				finished := done == n
				mu.Unlock()
				if finished {
					return
				}
				for _, c := range a.claims {
					// Counted as ended before it ends, so that the count is never too high.
					mu.Lock()
					running, done = running-1, done+1
					mu.Unlock()
					end(t, q, name, c)
				}
			}
		})
	}
	group.Wait()
}

func TestOldestTicketGoesFirstAcrossQueues(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1), action("b", 1), action("free", 0))
	want := []string{submit(t, q, "ops.b").ID}
	blocked := submit(t, q, "ops.b")
	want = append(want, submit(t, q, "ops.a").ID, submit(t, q, "ops.free").ID, submit(t, q, "ops.free").ID)
	var got []string
	for range want {
		got = append(got, ids(admit(t, q, "w", 1))...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("admitted %v, want %v", got, want)
	}
	if more := admit(t, q, "w", 10); len(more) != 0 {
		t.Errorf("admitted %v although only %s is left and its queue is full", ids(more), blocked.ID)
	}
}

func TestStatsAtEachStep(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	check := func(step string, waiting, running int) {
		t.Helper()
		s, err := q.Stats(t.Context(), "ops.one")
		if err != nil {
			t.Fatal(err)
		}
		if s.Waiting != waiting || s.Running != running || s.Limit == nil || *s.Limit != 1 {
			t.Errorf("%s: got %d waiting, %d running, limit %v; want %d, %d, 1", step, s.Waiting, s.Running, s.Limit, waiting,
				running)
		}
		if waits := s.AvgWaitTimeSeconds != nil && s.OldestWaitSeconds != nil; waits != (waiting > 0) {
			t.Errorf("%s: wait times are %v and %v", step, s.AvgWaitTimeSeconds, s.OldestWaitSeconds)
		}
	}
	check("empty", 0, 0)
	submit(t, q, "ops.one")
	second := submit(t, q, "ops.one")
	check("two submitted", 2, 0)
	claims := admit(t, q, "w", 5)
	check("one admitted", 1, 1)
	end(t, q, "w", claims[0])
	check("one finished", 1, 0)
	if _, err := q.Cancel(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	check("other cancelled", 0, 0)
}

func TestReleaseKeepsThePosition(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	first := submit(t, q, "ops.one")
	submit(t, q, "ops.one")
	admit(t, q, "dying", 1)
	if err := q.release(t.Context(), lifeOf(t, q, "dying"), nil); err != nil {
		t.Fatal(err)
	}
	if claims := admit(t, q, "other", 1); len(claims) != 1 || claims[0].ID != first.ID {
		t.Errorf("admitted %v after the hand-back, want %s", ids(claims), first.ID)
	}
}

// TestAdmissionWithoutAnAnswer: the connection broke after the commit, so the worker does not know what it was given.
func TestAdmissionWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 2))
	inHand, lost := submit(t, q, "ops.one"), submit(t, q, "ops.one")
	claims := admit(t, q, "w", 2)
	if claims[0].ID != inHand.ID {
		t.Fatalf("admitted %v", ids(claims))
	}
	if err := q.release(t.Context(), lifeOf(t, q, "w"), []int64{claims[0].Number}); err != nil {
		t.Fatal(err)
	}
	if claims := admit(t, q, "w", 2); len(claims) != 1 || claims[0].ID != lost.ID {
		t.Errorf("admitted %v, want %s alone", ids(claims), lost.ID)
	}
}

// TestStartMayBeRepeated: the answer to the first may have been lost.
func TestStartMayBeRepeated(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	submit(t, q, "ops.one")
	c := admit(t, q, "w", 1)[0]
	for range 2 {
		begin(t, q, "w", c)
	}
}

func TestFirstEndCounts(t *testing.T) {
	t.Parallel()
	q := setup(t, action("one", 1))
	e := submit(t, q, "ops.one")
	c := admit(t, q, "w", 1)[0]
	end(t, q, "w", c)
	stale := Outcome{Status: attune.StatusFailed, Reason: attune.ReasonExitCode}
	for _, worker := range []string{"w", "other"} {
		finish(t, q, worker, c, stale)
	}
	got, err := q.db.Executions.Get(t.Context(), e.ID)
	if err != nil || got.Status != attune.StatusCompleted {
		t.Errorf("after a stale end the status is %s (%v), want completed", got.Status, err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	a := action("strict", 0)
	a.Parameters = json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`)
	b := action("secretive", 0)
	b.Secrets = []string{"api_key"}
	q := setup(t, a, b)
	for name, test := range map[string]struct {
		submission Submission
		code       attune.Code
		field      string
	}{
		"unknown action":    {Submission{Action: "ops.nothing"}, attune.CodeNotFound, ""},
		"missing parameter": {Submission{Action: "ops.strict"}, attune.CodeInvalid, "parameters.n"},
		"wrong type": {Submission{Action: "ops.strict", Parameters: json.RawMessage(`{"n":"x"}`)}, attune.CodeInvalid,
			"parameters.n"},
		"secret not set": {Submission{Action: "ops.secretive"}, attune.CodeInvalid, "secrets.api_key"},
	} {
		_, err := q.Submit(t.Context(), test.submission)
		if attune.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: got %v, want code %s and field %q", name, err, test.code, test.field)
		}
	}
	all, _, err := q.db.Executions.List(t.Context(), storage.ExecutionFilter{})
	if err != nil || len(all) != 0 {
		t.Errorf("%d executions were queued (%v), want none", len(all), err)
	}
}

func TestWakeUpsAreCoalescedAndArrive(t *testing.T) {
	t.Parallel()
	q := setup(t, action("free", 0))
	ctx, cancel := context.WithCancel(t.Context())
	listener := q.db.Listen(ctx, WakeChannel)
	<-listener.C(WakeChannel) // The subscription stands.
	stopped := make(chan error, 1)
	go func() { stopped <- q.Run(ctx) }()
	submit(t, q, "ops.free")
	<-listener.C(WakeChannel)
	cancel()
	listener.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
