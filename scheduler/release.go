package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// release returns to their queues, with their tickets, the executions that a worker was given, but for the claims in
// keep. The code of those must certainly not have begun: so only the process that runs under the worker's name may
// call it, or somebody who knows that there is none.
func (q *Queue) release(ctx context.Context, worker string, keep []int64) error {
	if keep == nil {
		keep = []int64{}
	}
	var released int64
	err := q.admission(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, releaseSQL.text, releaseSQL.args(pgx.NamedArgs{"worker": worker, "keep": keep})...)
		released = tag.RowsAffected()
		return err
	})
	if err != nil {
		return storage.Translate("release executions", err)
	}
	if released > 0 {
		q.signal()
	}
	return nil
}
