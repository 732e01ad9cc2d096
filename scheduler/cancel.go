package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// cancelAttempts bounds how often Cancel looks for an execution that moves from one place to another meanwhile.
const cancelAttempts = 5

// Cancel ends an execution that has not begun, and asks for the end of one that runs. It is idempotent; CodeConflict
// says that the execution ended otherwise before.
func (q *Queue) Cancel(ctx context.Context, id string) (attune.Execution, error) {
	current, err := q.db.Executions.Get(ctx, id)
	if err != nil {
		return attune.Execution{}, err
	}
	for range cancelAttempts {
		if current.Status.Terminal() || current.Status == attune.StatusCanceling {
			break
		}
		var found []string
		err := q.admission(ctx, func(tx pgx.Tx) (err error) {
			found, err = cancel(ctx, tx, []string{current.ID}, attune.ReasonCancelRequested)
			return err
		})
		if err != nil {
			return attune.Execution{}, storage.Translate("cancel execution", err)
		}
		q.waiters.tell(found...)
		q.signalAll()
		if current, err = q.db.Executions.Get(ctx, id); err != nil {
			return attune.Execution{}, err
		}
	}
	if current.Status != attune.StatusCanceling && current.Status != attune.StatusCancelled {
		return attune.Execution{}, attune.Errorf(attune.CodeConflict, "execution %s is already %s", id, current.Status)
	}
	return current, nil
}

// cancel ends those of the executions that wait or pause, and asks for the end of those that have a slot; it returns
// the former. A worker ends the latter: only its host knows what has begun. The caller holds the admission lock.
func cancel(ctx context.Context, tx pgx.Tx, ids []string, reason attune.Reason) ([]string, error) {
	args := leaveArgs(attune.StatusCancelled, reason, ids)
	waited, err := leave(ctx, tx, leaveSQL, args)
	if err != nil {
		return nil, err
	}
	// In this order: an execution moves from its slot to a pause without the admission lock.
	if _, err := tx.Exec(ctx, `update slots set status = 'canceling', stop_reason = $2
		where id = any($1::uuid[]) and status in ('scheduled', 'running')`, ids, reason); err != nil {
		return nil, err
	}
	paused, err := leave(ctx, tx, leaveDelayedSQL, args)
	return append(waited, paused...), err
}

// RemovePack ends what waits for a pack's actions and deletes the pack. What runs goes on to its end; history stays.
func (q *Queue) RemovePack(ctx context.Context, ref string) error {
	var ended []string
	err := q.admission(ctx, func(tx pgx.Tx) error {
		// No submission can slip in between the statements.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockSubmission); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select id::text from waiting where pack = $1
			union all select id::text from delayed where pack = $1
			union all select id::text from slots where pack = $1 and status = 'scheduled'`, ref)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if ended, err = cancel(ctx, tx, ids, attune.ReasonPackRemoved); err != nil {
			return err
		}
		if err := dropPolicies(ctx, tx, ref); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from packs where ref = $1`, ref)
		if err == nil && tag.RowsAffected() == 0 {
			return attune.Errorf(attune.CodeNotFound, "there is no pack %q", ref)
		}
		return err
	})
	if err == nil {
		q.waiters.tell(ended...)
		q.signalAll()
	}
	return storage.Translate("remove pack "+ref, err)
}
