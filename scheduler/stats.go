package scheduler

import (
	"context"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// queueStates reads the queues that match a condition, one row each. All figures are of one snapshot; the clock is the
// database's.
const queueStates = `
	select q.action, q.key, w.waiting, s.running, coalesce(g.queue_limit, g.concurrency_limit), w.average, w.oldest
	from queues q
	left join gates g on g.scope = q.action
	cross join lateral (
		select count(*) as waiting,
			extract(epoch from avg(statement_timestamp() - queued_at))::float8 as average,
			extract(epoch from max(statement_timestamp() - queued_at))::float8 as oldest
		from waiting where queue_id = q.id
	) w
	cross join lateral (select count(*) as running from slots where queue_id = q.id and status <> 'free') s
	where (w.waiting > 0 or s.running > 0) and `

func scanQueueState(row pgx.CollectableRow) (s attune.QueueState, err error) {
	err = row.Scan(&s.Action, &s.Key, &s.Waiting, &s.Running, &s.Limit, &s.AvgWaitTimeSeconds, &s.OldestWaitSeconds)
	return s, err
}

// States lists the queues with executions that wait or run, longest first. allowed, unless empty, limits them to packs.
func (q *Queue) States(ctx context.Context, allowed []string) ([]attune.QueueState, error) {
	rows, err := q.db.Lists().Query(ctx, queueStates+`(cardinality(coalesce($1::text[], '{}')) = 0 or q.pack = any($1))
		order by w.waiting desc, s.running desc, q.action, q.key limit 1000`, allowed)
	if err != nil {
		return nil, storage.Translate("list queues", err)
	}
	states, err := pgx.CollectRows(rows, scanQueueState)
	return states, storage.Translate("list queues", err)
}

// Stats returns the figures of an action's queues: all together and, where it has a concurrency key, of each one in
// use.
func (q *Queue) Stats(ctx context.Context, actionRef string) (attune.QueueStats, error) {
	action, err := q.db.Actions.Get(ctx, actionRef)
	if err != nil {
		return attune.QueueStats{}, err
	}
	var stats attune.QueueStats
	batch := &pgx.Batch{}
	batch.Queue(`
		select count(*), extract(epoch from avg(statement_timestamp() - queued_at))::float8,
			extract(epoch from max(statement_timestamp() - queued_at))::float8,
			(select count(*) from slots where action = $1 and status <> 'free'),
			(select concurrency_limit from gates where scope = $1)
		from waiting where queue_id in (select id from queues where action = $1)`,
		action.Ref).QueryRow(func(row pgx.Row) error {
		return row.Scan(&stats.Waiting, &stats.AvgWaitTimeSeconds, &stats.OldestWaitSeconds, &stats.Running, &stats.Limit)
	})
	batch.Queue(queueStates+`q.action = $1 and q.key <> ''
		order by w.waiting desc, s.running desc, q.key limit 1000`, action.Ref).Query(func(rows pgx.Rows) error {
		keys, err := pgx.CollectRows(rows, scanQueueState)
		for _, k := range keys {
			stats.Keys = append(stats.Keys, attune.KeyStats{Key: k.Key, QueueStats: k.QueueStats})
		}
		return err
	})
	err = q.snapshot(ctx, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	return stats, storage.Translate("read queues of "+action.Ref, err)
}
