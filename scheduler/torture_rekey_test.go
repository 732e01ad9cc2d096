package scheduler

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"attune"
)

// TestPauseDuringAChangeOfTheKey: an attempt ends and is to be tried again while a change of the concurrency key moves what holds
// a slot, and has moved what pauses.
func TestPauseDuringAChangeOfTheKey(t *testing.T) {
	t.Parallel()
	a := action("one", 1)
	a.Parameters = []byte(customers)
	q, recorder, _ := setupRecorded(t, a)
	e, err := q.Submit(t.Context(), Submission{Action: "ops.one", Parameters: []byte(`{"customer": "ann"}`)})
	if err != nil {
		t.Fatal(err)
	}
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	var change sync.WaitGroup
	err = q.transact(t.Context(), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), delaySQL, "w", c.Slot, c.Number, attune.StatusFailed, attune.ReasonExitCode, 1, nil, 0, nil, nil)
		if err != nil {
			return err
		}
		change.Go(func() {
			p := attune.Policy{Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"customer"}}}
			if _, err := q.SetPolicy(t.Context(), attune.Scope{Action: "ops.one"}, p); err != nil {
				t.Error(err)
			}
		})
		awaitBlockedBy(t, q, 1)
		return nil
	})
	change.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range admit(t, q, "w", 1) {
		end(t, q, "w", c)
	}
	expectDrained(t, recorder, []string{e.ID})
}
