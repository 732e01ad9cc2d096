package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// tidy does the small chores that any worker may do at any time. Every few seconds is often enough.
func (q *Queue) tidy(ctx context.Context) error {
	var lost bool
	err := q.db.Pool().QueryRow(ctx, `select exists (select from slots s left join workers on workers.name = s.worker
		where s.status = 'scheduled' and not coalesce(`+storage.Alive+`, false))`).Scan(&lost)
	if err != nil {
		return storage.Translate("look for lost workers", err)
	}
	if lost {
		if err := q.handBackOfLost(ctx); err != nil {
			return err
		}
	}
	err = q.admission(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		// Whoever is entering a queue at this moment holds its row, and leaves it busy.
		batch.Queue(`update queues set busy = false where id in (
			select q.id from queues q join heads h on h.queue_id = q.id
			where q.busy and q.entered = h.departed order by q.id for update of q skip locked)`)
		// A process that does not raise it has the default, see 005_used.sql.
		batch.Queue(`update workers w set used = seen.used from (select name, ` + storage.Used("workers.name") + ` as used from workers) seen
			where w.name = seen.name and w.used > seen.used and w.used < 2147483647`)
		batch.Queue(`delete from starts s using gates g
			where g.id = s.gate_id and s.number <= g.started - coalesce(g.rate_limit, 0)`)
		// After the clock was set back, what began at a time to come counts from now: windows, pauses, waits.
		batch.Queue(`update starts set at = clock_timestamp() where at > clock_timestamp()`)
		batch.Queue(`update delayed d set retry_at = clock_timestamp() from attempts a
			where a.execution_id = d.id and a.attempt = d.attempt - 1 and a.finished_at > clock_timestamp()
				and d.retry_at > clock_timestamp()`)
		batch.Queue(`update waiting set wait_until = wait_until - (queued_at - clock_timestamp()), queued_at = clock_timestamp()
			where wait_until is not null and queued_at > clock_timestamp()`)
		return tx.SendBatch(ctx, batch).Close()
	})
	return storage.Translate("tidy the queues", err)
}
