package scheduler

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"attune"
)

// rekey moves what is not over of an action to the queues of another concurrency key, each with its ticket, so that the
// order among those who meet in a queue is the order in which they came. The caller holds the locks of lockChanges.
func rekey(ctx context.Context, tx pgx.Tx, action string, key []string) error {
	// An attempt that is ending moves from a slot to a pause without a lock of ours: this waits for it, and keeps others there.
	if _, err := tx.Exec(ctx, `select from slots where action = $1 for update`, action); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select id::text, parameters from waiting where action = $1
		union all select id::text, parameters from delayed where action = $1
		union all select id::text, parameters from slots where action = $1 and status <> 'free'`, action)
	if err != nil {
		return err
	}
	type open struct {
		ID         string
		Parameters json.RawMessage
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[open])
	if err != nil {
		return err
	}
	byKey := make(map[string][]string)
	for _, e := range all {
		value, err := attune.QueueKey(key, e.Parameters)
		if err != nil {
			return err
		}
		byKey[value] = append(byKey[value], e.ID)
	}
	for value, ids := range byKey {
		queue, err := queueID(ctx, tx, action, value)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		// In the direction in which executions move without the admission lock: what leaves a table meanwhile is still met in
		// the next. A free slot's id is over, and not among them.
		batch.Queue(`update slots set queue_id = $1, queue_key = $3 where id = any($2::uuid[]) and status <> 'free'`, queue, ids, value)
		batch.Queue(`update delayed set queue_id = $1 where id = any($2::uuid[])`, queue, ids)
		batch.Queue(`update waiting set queue_id = $1 where id = any($2::uuid[])`, queue, ids)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `with lines as (
			select q.id, (select count(*) from waiting w where w.queue_id = q.id) as waits from queues q where q.action = $1
		), counted as (
			update queues q set busy = l.waits > 0 from lines l where q.id = l.id
		)
		update heads h set passed = 0, departed = q.entered - l.waits
		from lines l join queues q on q.id = l.id where h.queue_id = l.id`, action)
	return err
}
