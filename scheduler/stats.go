package scheduler

import (
	"context"

	"attune"
	"attune/storage"
)

// Stats tells how an action's queue stands. All figures are of one snapshot; the clock is the database's.
func (q *Queue) Stats(ctx context.Context, actionRef string) (attune.QueueStats, error) {
	action, err := q.db.Actions.Get(ctx, actionRef)
	if err != nil {
		return attune.QueueStats{}, err
	}
	var s attune.QueueStats
	err = q.db.Pool().QueryRow(ctx, `
		select
			count(*) filter (where e.status = 'queued'),
			count(*) filter (where e.status in ('scheduled', 'running', 'canceling')),
			q.concurrency_limit,
			extract(epoch from avg(statement_timestamp() - e.created_at) filter (where e.status = 'queued'))::float8,
			extract(epoch from max(statement_timestamp() - e.created_at) filter (where e.status = 'queued'))::float8
		from queues q
		left join executions e on e.queue_id = q.id and e.status in ('queued', 'scheduled', 'running', 'canceling')
		where q.action = $1 and q.key = ''
		group by q.id`, action.Ref).Scan(&s.Waiting, &s.Running, &s.Limit, &s.AvgWaitTimeSeconds, &s.OldestWaitSeconds)
	if err != nil {
		return attune.QueueStats{}, storage.Translate("read queue of "+action.Ref, err)
	}
	return s, nil
}
