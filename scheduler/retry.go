package scheduler

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// RetryAfter returns the pause before the attempt that follows one that ended so, nil when none follows.
func RetryAfter(r *attune.Retry, attempt int, o Outcome) *time.Duration {
	if !retries(r, attempt, o) {
		return nil
	}
	pause := backoff(r, attempt)
	return &pause
}

// retries reports whether another attempt follows one that ended so.
func retries(r *attune.Retry, attempt int, o Outcome) bool {
	if r == nil || attempt >= r.MaxAttempts || o.Status == attune.StatusCompleted || o.Status == attune.StatusCancelled {
		return false
	}
	reasons := r.Reasons
	if len(reasons) == 0 {
		reasons = attune.DefaultRetryReasons()
	}
	if !slices.Contains(reasons, o.Reason) {
		return false
	}
	byCode := o.Reason == attune.ReasonExitCode || o.Reason == attune.ReasonException
	return !byCode || len(r.ExitCodes) == 0 || o.ExitCode != nil && slices.Contains(r.ExitCodes, *o.ExitCode)
}

// backoff is the pause after an attempt: doubled with each, up to the ceiling, then shortened by up to half at random
// ("equal jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
func backoff(r *attune.Retry, attempt int) time.Duration {
	pause := r.BackoffSeconds
	for range attempt - 1 {
		if pause >= r.MaxBackoffSeconds {
			break
		}
		pause *= 2
	}
	pause = min(pause, r.MaxBackoffSeconds)
	//nolint:gosec // nobody gains by guessing it
	return time.Duration((pause/2 + rand.Float64()*pause/2) * float64(time.Second))
}

// promote puts executions whose pause is over at the end of their queues.
func (q *Queue) promote(ctx context.Context) error {
	promoted := false
	err := q.transact(ctx, func(tx pgx.Tx) error {
		// None of them moves to another queue meanwhile.
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock_shared($1, 0)`, lockSubmission); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select id::text, queue_id from delayed
			where retry_at <= clock_timestamp() order by retry_at limit 1000`)
		if err != nil {
			return err
		}
		var ids []string
		var queues []int32
		var id string
		var queue int32
		if _, err := pgx.ForEachRow(rows, []any{&id, &queue}, func() error {
			ids, queues = append(ids, id), append(queues, queue)
			return nil
		}); err != nil || len(ids) == 0 {
			return err
		}
		promoted = true
		slices.Sort(queues)
		batch := &pgx.Batch{}
		batch.Queue(`select pg_advisory_xact_lock($1, id) from unnest($2::integer[]) id`, lockQueue, slices.Compact(queues))
		promoteSQL.queue(batch, pgx.NamedArgs{"ids": ids})
		return tx.SendBatch(ctx, batch).Close()
	})
	if err == nil && promoted {
		q.signal()
	}
	return storage.Translate("take up executions again", err)
}

// expire ends what has waited longer than its policies allow.
func (q *Queue) expire(ctx context.Context) error {
	var over bool
	if err := q.db.Pool().QueryRow(ctx,
		`select exists (select from waiting where wait_until <= clock_timestamp())`).Scan(&over); err != nil || !over {
		return storage.Translate("look for executions that have waited too long", err)
	}
	var ids []string
	batch := admissionBatch()
	leaveSQL.queue(batch, leaveArgs(attune.StatusTimeout, attune.ReasonQueueTimeout, nil)).
		Query(func(rows pgx.Rows) (err error) {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
	err := q.db.Pool().SendBatch(ctx, batch).Close()
	if err == nil {
		q.waiters.tell(ids...)
		q.signal()
	}
	return storage.Translate("end executions that have waited too long", err)
}

func leaveArgs(s attune.Status, r attune.Reason, ids []string) pgx.NamedArgs {
	return pgx.NamedArgs{"status": s, "reason": r, "ids": ids}
}

// leave ends what waits or pauses, and returns what it found.
func leave(ctx context.Context, tx pgx.Tx, s sqlText, args pgx.NamedArgs) ([]string, error) {
	rows, err := tx.Query(ctx, s.text, s.args(args)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
