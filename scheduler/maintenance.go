package scheduler

import (
	"context"

	"attune/storage"
)

// maintain does the small chores that any process may do at any time. Every few seconds is often enough.
func (q *Queue) maintain(ctx context.Context) error {
	batch := admissionBatch()
	// A submission that is under way holds the row of its queue, and leaves it busy.
	batch.Queue(`update queues set busy = false where id in (
		select q.id from queues q join heads h on h.queue_id = q.id
		where q.busy and q.entered = h.departed order by q.id for update of q skip locked)`)
	batch.Queue(`delete from starts s using gates g
		where g.id = s.gate_id and s.number <= g.started - coalesce(g.rate_limit, 0)`)
	// After the clock was set back, what began at a time to come counts from now: windows, pauses, waits.
	batch.Queue(`update starts set at = clock_timestamp() where at > clock_timestamp()`)
	batch.Queue(`update delayed d set retry_at = clock_timestamp() from attempts a
		where a.execution_id = d.id and a.attempt = d.attempt - 1 and a.finished_at > clock_timestamp()
			and d.retry_at > clock_timestamp()`)
	batch.Queue(`update waiting set wait_until = wait_until - (queued_at - clock_timestamp()),
			queued_at = clock_timestamp()
		where wait_until is not null and queued_at > clock_timestamp()`)
	return storage.Translate("maintain the queues", q.db.Pool().SendBatch(ctx, batch).Close())
}
