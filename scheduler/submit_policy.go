package scheduler

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// enqueueByPolicy queues entries, all or none, with everything that policies have to say: quotas, max_waiting and
// methods. It returns errOutdated when one of them must be checked anew. What was made under the key before is
// returned instead.
func (q *Queue) enqueueByPolicy(
	ctx context.Context, key *IdempotencyKey, all []entry,
) (made []attune.Execution, err error) {
	var cancelled []string
	var before []attune.Execution
	err = q.transact(ctx, func(tx pgx.Tx) error {
		if before, err = key.reserve(ctx, tx); before != nil || err != nil {
			return err
		}
		if made, cancelled, err = enterByPolicy(ctx, tx, all); err != nil {
			return err
		}
		return key.remember(ctx, tx, made)
	})
	switch {
	case isOutdated(err):
		return nil, err
	case err != nil:
		return nil, storage.Translate("enqueue executions", err)
	case before != nil:
		return before, nil
	}
	q.signalAll()
	q.waiters.tell(cancelled...)
	return made, nil
}

// enterByPolicy takes the locks, one kind after the other, and then decides for each entry in turn. It also returns the
// executions that were cancelled to make room.
func enterByPolicy(
	ctx context.Context, tx pgx.Tx, all []entry,
) (made []attune.Execution, cancelled []string, err error) {
	gates, err := lockGates(ctx, tx, all)
	if err != nil {
		return nil, nil, err
	}
	batch := &pgx.Batch{}
	lockQueues(batch, all)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(gates, func(g submissionGate) bool { return g.Checks }) {
		made, err = enterAll(ctx, tx, all)
		return made, nil, err
	}
	for i, e := range all {
		if err := acceptBy(ctx, tx, gates, e); err != nil {
			if len(all) > 1 {
				err = ofMember(i, err)
			}
			return nil, nil, err
		}
		one, err := enterAll(ctx, tx, all[i:i+1])
		if err != nil {
			return nil, nil, err
		}
		made = append(made, one...)
		superseded, err := supersede(ctx, tx, gates, e)
		if err != nil {
			return nil, nil, err
		}
		cancelled = append(cancelled, superseded...)
	}
	if len(cancelled) == 0 {
		return made, nil, nil
	}
	// Others have left the queue, and may be members of the same batch.
	for i := range made {
		if made[i], err = storage.GetExecution(ctx, tx, made[i].ID); err != nil {
			return nil, nil, err
		}
	}
	return made, cancelled, nil
}

// enterAll puts entries at the ends of their queues.
func enterAll(ctx context.Context, tx pgx.Tx, all []entry) ([]attune.Execution, error) {
	batch := &pgx.Batch{}
	entered := insert(batch, all, true)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	made := make([]attune.Execution, len(all))
	for i, e := range entered {
		if e == nil {
			return nil, errOutdated
		}
		made[i] = all[i].execution(e)
	}
	return made, nil
}

// supersede ends the oldest executions of an entry's queue, where its policy says so, so that as many are left as have
// slots.
func supersede(ctx context.Context, tx pgx.Tx, gates []submissionGate, e entry) ([]string, error) {
	i := slices.IndexFunc(gates, func(g submissionGate) bool {
		return g.Scope == e.action.Ref && g.Method == attune.MethodCancelOldest && g.Slots != nil
	})
	if i < 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `select id::text from (
			select id, ticket from waiting where queue_id = $1
			union all select id, ticket from slots where queue_id = $1 and status in ('scheduled', 'running')
		) open order by ticket desc offset $2`, e.queue, *gates[i].Slots)
	if err != nil {
		return nil, err
	}
	old, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(old) == 0 {
		return nil, err
	}
	return cancel(ctx, tx, old, attune.ReasonSuperseded)
}
