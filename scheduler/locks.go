package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Classes of advisory locks: the first half of the two-part key. All locks are transaction-level. A transaction that
// takes several takes them in this order, and those of one class by ascending second half. docs/scheduling.md says why
// each is enough. Class 5 is retention's.
const (
	// lockAdmission (second half 0) serializes what gives out slots, takes executions out of a queue or puts them
	// back, and what changes their limits.
	lockAdmission = 1
	// lockSubmission (second half 0) is shared by submissions and exclusive to what changes the ground they stand on:
	// the version that serves, the policies, the queues of an action.
	lockSubmission = 2
	// lockGate (second half gates.id) serializes submissions that a policy counts.
	lockGate = 3
	// lockQueue (second half queues.id) serializes the drawing of a queue's tickets; it is held to commit.
	lockQueue = 4
)

// lockChanges takes the locks that a change of what admission and submission rely on needs.
func lockChanges(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockSubmission)
	return err
}
