package scheduler

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"attune"
	"attune/storage"
)

func idempotent(key, body string) IdempotencyKey {
	return IdempotencyKey{Token: "t", Key: key, Digest: sha256.Sum256([]byte(body))}
}

func submitOnce(t *testing.T, q *Queue, o IdempotencyKey, action string) attune.Execution {
	t.Helper()
	e, err := q.SubmitOnce(t.Context(), o, Submission{Action: action})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestManyWithOneKeyMakeOneExecution(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	other := NewQueue(q.db, q.log)
	found := make([]string, 100)
	var group sync.WaitGroup
	for i := range found {
		group.Go(func() {
			e, err := []*Queue{q, other}[i%2].SubmitOnce(t.Context(), idempotent("k", "body"), Submission{Action: "ops.a"})
			if err != nil {
				t.Error(err)
			}
			found[i] = e.ID
		})
	}
	group.Wait()
	for _, id := range found {
		if id != found[0] {
			t.Fatalf("they made %v", found)
		}
	}
	if all, _, err := q.db.Executions.List(t.Context(), storage.ExecutionFilter{}); err != nil || len(all) != 1 {
		t.Errorf("%d executions are there (%v)", len(all), err)
	}
}

func TestKeyStandsForOneRequestOfOneToken(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	first := submitOnce(t, q, idempotent("k", "body"), "ops.a")
	_, err := q.SubmitOnce(t.Context(), idempotent("k", "another"), Submission{Action: "ops.a"})
	if e := asError(err); e == nil || e.Code != attune.CodeInvalid || len(e.Problems) != 1 ||
		e.Problems[0].Field != "Idempotency-Key" {
		t.Errorf("another body with the key: %v", err)
	}
	if e := submitOnce(t, q, idempotent("k2", "body"), "ops.a"); e.ID == first.ID {
		t.Error("another key stands for the same execution")
	}
	o := idempotent("k", "another")
	o.Token = "t2"
	if e := submitOnce(t, q, o, "ops.a"); e.ID == first.ID {
		t.Error("another token's key stands for the same execution")
	}
}

// TestRepetitionReturnsTheExecutionAsItIsNow, whatever has become of the pack.
func TestRepetitionReturnsTheExecutionAsItIsNow(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 1))
	first, second := submitOnce(t, q, idempotent("k", "1"), "ops.a"), submitOnce(t, q, idempotent("l", "2"), "ops.a")
	end(t, q, "w", wantAdmitted(t, q, 1, first)[0])
	if e := submitOnce(t, q, idempotent("k", "1"), "ops.a"); e.ID != first.ID || e.Status != attune.StatusCompleted {
		t.Errorf("the repetition is %+v", e)
	}
	if err := q.RemovePack(t.Context(), "ops"); err != nil {
		t.Fatal(err)
	}
	if e := submitOnce(t, q, idempotent("l", "2"), "ops.a"); e.ID != second.ID || e.Reason != attune.ReasonPackRemoved {
		t.Errorf("the repetition after the pack's end is %+v", e)
	}
	if _, err := q.SubmitOnce(t.Context(), idempotent("m", "3"),
		Submission{Action: "ops.a"}); attune.CodeOf(err) != attune.CodeNotFound {
		t.Errorf("a new one: %v", err)
	}
}

// TestRejectedRequestMayComeAgain: its key is not used up.
func TestRejectedRequestMayComeAgain(t *testing.T) {
	t.Parallel()
	q := setup(t, with("a", maxWaiting(1)))
	first := submit(t, q, "ops.a")
	for range 2 {
		if _, err := q.SubmitOnce(t.Context(), idempotent("k", "b"),
			Submission{Action: "ops.a"}); attune.CodeOf(err) != attune.CodeRejected {
			t.Fatalf("submit: %v", err)
		}
	}
	wantAdmitted(t, q, 1, first)
	e := submitOnce(t, q, idempotent("k", "b"), "ops.a")
	if again := submitOnce(t, q, idempotent("k", "b"), "ops.a"); again.ID != e.ID {
		t.Errorf("the repetition made %s, want %s", again.ID, e.ID)
	}
}

func TestBatchIsRepeatedAsAWhole(t *testing.T) {
	t.Parallel()
	q := setup(t, action("a", 0), with("b", quota(3)))
	all := []Submission{{Action: "ops.b"}, {Action: "ops.a"}, {Action: "ops.b"}}
	made := make([]string, 20)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() {
			o := idempotent("k", "batch")
			found, err := q.SubmitBatch(t.Context(), &o, all)
			if err != nil {
				t.Error(err)
			}
			for _, e := range found {
				made[i] += fmt.Sprint(e.ID, e.Action, " ")
			}
		})
	}
	group.Wait()
	for _, m := range made {
		if m != made[0] || m == "" {
			t.Fatalf("they made %v", made)
		}
	}
	submit(t, q, "ops.b")
	wantRejected(t, q, "ops.b")
}
