package scheduler

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"attune"
)

// rekey moves the executions of an action that are not over to the queues of another concurrency key. They keep their
// tickets, so that those that meet in a queue stand in the order of their submissions. The caller holds the locks of
// lockChanges.
func rekey(ctx context.Context, tx pgx.Tx, action string, key []string) error {
	// An attempt that is ending moves from slots to delayed under no advisory lock. This waits for it, and keeps
	// others in place.
	if _, err := tx.Exec(ctx, `select from slots where action = $1 for update`, action); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select id::text, parameters from waiting where action = $1
		union all select id::text, parameters from delayed where action = $1
		union all select id::text, parameters from slots where action = $1 and status <> 'free'`, action)
	if err != nil {
		return err
	}
	byKey := make(map[string][]string)
	var id string
	var parameters json.RawMessage // of one execution at a time: all of them may be gigabytes
	if _, err := pgx.ForEachRow(rows, []any{&id, &parameters}, func() error {
		value, err := attune.QueueKey(key, parameters)
		byKey[value] = append(byKey[value], id)
		return err
	}); err != nil {
		return err
	}
	for value, ids := range byKey {
		queue, err := queueID(ctx, tx, action, value)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		// The tables come in the order in which executions move without the admission lock: what leaves one meanwhile
		// is still found in the next. A free slot's id is of an execution that has left it, and not among them.
		batch.Queue(`update slots set queue_id = $1, queue_key = $3 where id = any($2::uuid[]) and status <> 'free'`,
			queue, ids, value)
		batch.Queue(`update delayed set queue_id = $1 where id = any($2::uuid[])`, queue, ids)
		batch.Queue(`update waiting set queue_id = $1 where id = any($2::uuid[])`, queue, ids)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	// The counters follow: busy, departed and passed of each queue of the action.
	_, err = tx.Exec(ctx, `with counts as (
			select q.id, (select count(*) from waiting w where w.queue_id = q.id) as waits from queues q where q.action = $1
		), counted as (
			update queues q set busy = c.waits > 0 from counts c where q.id = c.id
		)
		update heads h set passed = 0, departed = q.entered - c.waits
		from counts c join queues q on q.id = c.id where h.queue_id = c.id`, action)
	return err
}
