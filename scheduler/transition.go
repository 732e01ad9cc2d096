package scheduler

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// start moves an execution from scheduled to running; false says that it is not this worker's to start any more. It
// happens before a sandbox is made: what is still scheduled has certainly not begun. It may be repeated when the answer was
// lost, for a claim is begun once.
func (q *Queue) start(ctx context.Context, worker string, c claim) (bool, error) {
	tag, err := q.db.Pool().Exec(ctx, `
		update executions set status = 'running', started_at = coalesce(started_at, clock_timestamp())
		where id = $1 and attempt = $2 and worker = $3 and status in ('scheduled', 'running')`, c.ID, c.Attempt, worker)
	if err != nil {
		return false, storage.Translate("start execution", err)
	}
	return tag.RowsAffected() == 1, nil
}

// outcome is how an execution ends.
type outcome struct {
	Status   attune.Status
	Reason   attune.Reason
	ExitCode *int
	Result   json.RawMessage
	Failure  *attune.Failure
}

// finish moves an execution to its terminal state, which frees its slot; the sandbox must be gone. Asked to stop, an
// execution ends as cancelled whatever its action made of it, unless its outcome cannot be known.
//
// A row that is not in the expected state is left alone: somebody else has ended it, and the first end counts.
func (q *Queue) finish(ctx context.Context, worker string, c claim, o outcome) error {
	_, err := q.db.Pool().Exec(ctx, `
		update executions set
			status = case when status = 'canceling' and $4 <> 'abandoned' then 'cancelled' else $4 end,
			reason = case when status = 'canceling' and $4 <> 'abandoned' then 'cancel_requested' else $5 end,
			exit_code = $6, result = $7, failure = $8, finished_at = clock_timestamp()
		where id = $1 and attempt = $2 and worker = $3 and status in ('scheduled', 'running', 'canceling')`,
		c.ID, c.Attempt, worker, o.Status, o.Reason, o.ExitCode, o.Result, o.Failure)
	if err != nil {
		return storage.Translate("finish execution", err)
	}
	q.signal()
	return nil
}

// Cancel ends an execution that has not begun, and asks for the end of one that runs. It is idempotent; CodeConflict says
// that the execution ended otherwise before.
func (q *Queue) Cancel(ctx context.Context, id string) (attune.Execution, error) {
	current, err := q.db.Executions.Get(ctx, id)
	if err != nil {
		return attune.Execution{}, err
	}
	_, err = q.db.Pool().Exec(ctx, `
		update executions set
			status = case status when 'running' then 'canceling' else 'cancelled' end,
			reason = case status when 'running' then '' else 'cancel_requested' end,
			finished_at = case status when 'running' then null else clock_timestamp() end
		where id = $1 and status in ('queued', 'scheduled', 'running')`, current.ID)
	if err != nil {
		return attune.Execution{}, storage.Translate("cancel execution", err)
	}
	q.signal()
	current, err = q.db.Executions.Get(ctx, id)
	if err != nil {
		return attune.Execution{}, err
	}
	if current.Status != attune.StatusCanceling && current.Status != attune.StatusCancelled {
		return attune.Execution{}, attune.Errorf(attune.CodeConflict, "execution %s is already %s", id, current.Status)
	}
	return current, nil
}

// canceling lists what a worker has been asked to stop.
func (q *Queue) canceling(ctx context.Context, worker string) ([]string, error) {
	rows, err := q.db.Pool().Query(ctx,
		`select id::text from executions where worker = $1 and status = 'canceling'`, worker)
	if err != nil {
		return nil, storage.Translate("list executions to cancel", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, storage.Translate("list executions to cancel", err)
}

// handBack returns to the queue what a worker has been given and has not begun, but for those that it knows of. The ticket
// stays, and with it the place. Under the admission lock, so that an admission whose answer was lost has committed or failed.
func (q *Queue) handBack(ctx context.Context, worker string, known []string) error {
	var returned int64
	err := q.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			update executions set status = 'queued', worker = '', scheduled_at = null
			where worker = $1 and status = 'scheduled' and id <> all(coalesce($2::uuid[], '{}'))`, worker, known)
		returned = tag.RowsAffected()
		return err
	})
	if err != nil {
		return storage.Translate("hand back executions", err)
	}
	if returned > 0 {
		q.signal()
	}
	return nil
}

// begun lists what a worker had begun and not ended, for its next life.
func (q *Queue) begun(ctx context.Context, worker string) ([]claim, error) {
	rows, err := q.db.Pool().Query(ctx, `
		select `+claimColumns+` from executions e
		where worker = $1 and status in ('running', 'canceling') order by ticket`, worker)
	if err != nil {
		return nil, storage.Translate("list begun executions", err)
	}
	claims, err := pgx.CollectRows(rows, pgx.RowToStructByPos[claim])
	return claims, storage.Translate("list begun executions", err)
}

// RemovePack ends what waits for a pack's actions and deletes the pack. What runs goes on to its end; history stays.
func (q *Queue) RemovePack(ctx context.Context, ref string) error {
	err := q.transact(ctx, func(tx pgx.Tx) error {
		// Under the locks of all its queues, in ascending order, no submission can slip in between the two statements.
		if _, err := tx.Exec(ctx, `
			select pg_advisory_xact_lock($1, id)
			from (select q.id from queues q join actions a on a.ref = q.action where a.pack = $2 order by q.id) locked`,
			lockQueue, ref); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			update executions set status = 'cancelled', reason = 'pack_removed', finished_at = clock_timestamp()
			where pack = $1 and status in ('queued', 'scheduled')`, ref); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `delete from packs where ref = $1`, ref)
		if err == nil && tag.RowsAffected() == 0 {
			return attune.Errorf(attune.CodeNotFound, "there is no pack %q", ref)
		}
		return err
	})
	q.signal()
	return storage.Translate("remove pack", err)
}
