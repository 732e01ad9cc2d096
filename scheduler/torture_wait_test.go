package scheduler

import (
	"testing"
	"time"

	"attune"
)

// TestPassedOverAndThenAllowedToWaitLonger: one that has waited too long is passed over, and before its end is recorded the
// policy that ended its wait is taken back. It must come to an end all the same.
func TestPassedOverAndThenAllowedToWaitLonger(t *testing.T) {
	t.Parallel()
	q, recorder, _ := setupRecorded(t, action("one", 1))
	scope, second := attune.Scope{Action: "ops.one"}, 1
	impatient := attune.Policy{Concurrency: &attune.Concurrency{Limit: 1}, MaxWaitSeconds: &second}
	if _, err := q.SetPolicy(t.Context(), scope, impatient); err != nil {
		t.Fatal(err)
	}
	late := submit(t, q, "ops.one")
	if !pause(t.Context(), time.Second) {
		return
	}
	next := submit(t, q, "ops.one")
	claims := admit(t, q, "w", 1)
	if len(claims) != 1 || claims[0].ID != next.ID {
		t.Fatalf("admitted %v", ids(claims))
	}
	if err := q.DeletePolicy(t.Context(), scope); err != nil {
		t.Fatal(err)
	}
	end(t, q, "w", claims[0])
	if err := q.expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range admit(t, q, "w", 1) {
		end(t, q, "w", c)
	}
	expectDrained(t, recorder, []string{late.ID, next.ID})
}
