package scheduler

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// claim is an execution that a worker has a slot for. Its fields are claimColumns, in their order.
type claim struct {
	ID             string
	Attempt        int
	Action         string
	Pack           string
	PackVersion    string
	InstallationID string
	ImageDigest    string
	Parameters     json.RawMessage
	CreatedAt      time.Time
}

const claimColumns = `e.id::text, e.attempt, e.action, e.pack, e.pack_version, e.installation_id::text, e.image_digest, e.parameters, e.created_at`

// admit gives up to n slots to a worker: of every queue with room its head, and of all those heads the oldest tickets
// first. Limits of further levels join the room expression; nothing else changes.
func (q *Queue) admit(ctx context.Context, worker string, n int) ([]claim, error) {
	var claims []claim
	err := q.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, lockAdmission); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			with waiting as (
				select distinct queue_id from executions where status = 'queued'
			), room as (
				select q.id, least($2, coalesce(q.concurrency_limit - taken.slots, $2)) as slots
				from waiting w
				join queues q on q.id = w.queue_id
				cross join lateral (
					select count(*) as slots from executions e
					where e.queue_id = q.id and e.status in ('scheduled', 'running', 'canceling')
				) taken
				where q.concurrency_limit is null or taken.slots < q.concurrency_limit
			), heads as (
				select head.id, head.ticket
				from room
				cross join lateral (
					select e.id, e.ticket from executions e
					where e.queue_id = room.id and e.status = 'queued'
					order by e.ticket
					limit room.slots
				) head
				order by head.ticket
				limit $2
			)
			update executions e
			set status = 'scheduled', worker = $1, scheduled_at = clock_timestamp()
			from heads
			where e.id = heads.id and e.status = 'queued'
			returning `+claimColumns,
			worker, n)
		if err != nil {
			return err
		}
		claims, err = pgx.CollectRows(rows, pgx.RowToStructByPos[claim])
		return err
	})
	if err != nil {
		return nil, storage.Translate("admit executions", err)
	}
	return claims, nil
}
