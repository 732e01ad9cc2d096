package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"attune/storage"
)

// release returns to their queues, with their tickets, the executions that a worker was given, but for the claims in
// keep. The code of those must certainly not have begun: so only the process that runs under the worker's name may
// call it, or an operator who knows that there is none.
func (q *Queue) release(ctx context.Context, life workerLife, keep []int64) error {
	if keep == nil {
		keep = []int64{}
	}
	var released int64
	batch := admissionBatch()
	releaseSQL.queue(batch, pgx.NamedArgs{"worker": life.Name, "life": life.ID,
		"keep": keep}).Exec(func(tag pgconn.CommandTag) error {
		released = tag.RowsAffected()
		return nil
	})
	if err := q.db.Pool().SendBatch(ctx, batch).Close(); err != nil {
		return storage.Translate("release executions", err)
	}
	if released > 0 {
		q.signal()
	}
	return nil
}
