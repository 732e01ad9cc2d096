package storage

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Classes of advisory locks: the first half of the two-part key. All locks are transaction-level, and whoever takes several
// takes them in this order, and those of one class by ascending second half. docs/scheduling.md says why each is enough.
const (
	// LockAdmission (second half 0) serializes whoever gives out slots, takes executions out of the line or puts them back,
	// and whoever changes what bounds them.
	LockAdmission = 1
	// LockSubmission (second half 0) is shared by all who submit and exclusive to whoever changes what they rely on: the
	// version that serves, the policies, the queues of an action.
	LockSubmission = 2
	// LockGate (second half gates.id) serializes submissions that a policy counts.
	LockGate = 3
	// LockQueue (second half queues.id) serializes whoever draws tickets of one queue; it is held to commit.
	LockQueue = 4
	// LockHistory (second half 0) is held by the one process that cleans up history.
	LockHistory = 5
)

// lockChanges takes the locks of whoever changes what admission and submission rely on.
func lockChanges(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, LockAdmission); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, LockSubmission)
	return err
}
