package scheduler

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"attune"
)

// TestEndDuringAChangeOfTheKey: the end of an execution waits for a change of the concurrency key, which moves it to
// a queue that the statement that ends it does not see.
func TestEndDuringAChangeOfTheKey(t *testing.T) {
	t.Parallel()
	a := action("one", 1)
	a.Parameters = []byte(customers)
	q, recorder, _ := setupRecorded(t, a)
	e := submitWith(t, q, "ops.one", `{"customer": "ann"}`)
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	if err := q.maintain(t.Context()); err != nil { // nobody waits, so the heads are the last that the change writes to
		t.Fatal(err)
	}
	var parties sync.WaitGroup
	err := q.transact(t.Context(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select from heads for update`); err != nil {
			return err
		}
		parties.Go(func() { setPolicy(t, q, attune.Scope{Action: "ops.one"}, perCustomer) })
		awaitBlockedBy(t, q, 1)
		parties.Go(func() { finish(t, q, "w", c, Outcome{Status: attune.StatusCompleted}) })
		awaitBlockedBy(t, q, 2)
		return nil
	})
	parties.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, q, e.ID); got.Key != `{"customer":"ann"}` {
		t.Errorf("it ended in the queue %q", got.Key)
	}
	next := submitWith(t, q, "ops.one", `{"customer": "ann"}`)
	end(t, q, "w", wantAdmitted(t, q, 5, next)[0])
	expectDrained(t, recorder, []string{e.ID, next.ID})
}

var perCustomer = attune.Policy{Concurrency: &attune.Concurrency{Limit: 1, Key: []string{"customer"}}}

// TestPauseDuringAChangeOfTheKey: an attempt ends and is to be tried again while a change of the concurrency key
// moves what holds a slot, and has moved what pauses.
func TestPauseDuringAChangeOfTheKey(t *testing.T) {
	t.Parallel()
	a := action("one", 1)
	a.Parameters = []byte(customers)
	q, recorder, _ := setupRecorded(t, a)
	e := submitWith(t, q, "ops.one", `{"customer": "ann"}`)
	c := admit(t, q, "w", 1)[0]
	begin(t, q, "w", c)
	var change sync.WaitGroup
	err := q.transact(t.Context(), func(tx pgx.Tx) error {
		delayIn(t, tx, c, 0)
		change.Go(func() { setPolicy(t, q, attune.Scope{Action: "ops.one"}, perCustomer) })
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
