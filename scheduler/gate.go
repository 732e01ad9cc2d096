package scheduler

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// enforce makes the gate of a scope what its policies say. The caller holds the locks of lockChanges.
func enforce(ctx context.Context, tx pgx.Tx, scope string) error {
	found, err := storage.GetPolicy(ctx, tx, scope)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	before, err := storage.ConcurrencyKey(ctx, tx, scope)
	if err != nil {
		return err
	}
	g := gateOf(found.Policy)
	if g.empty() {
		_, err = tx.Exec(ctx, `delete from gates where scope = $1`, scope)
	} else {
		err = g.upsert(ctx, tx, scope)
	}
	if err != nil {
		return err
	}
	if err := enforceMaxWait(ctx, tx, scope); err != nil {
		return err
	}
	// An execution that had waited too long, and was passed over, may wait on now.
	if _, err := tx.Exec(ctx, `update heads set passed = 0 from queues q
		where q.id = heads.queue_id and q.busy and $1 in ('', q.pack, q.action)`, scope); err != nil {
		return err
	}
	if slices.Equal(before, g.key) || !strings.Contains(scope, ".") {
		return nil
	}
	return rekey(ctx, tx, scope, g.key)
}

// enforceMaxWait updates how long each execution of a scope may wait, also for those that may return to their queue.
// One that had waited too long may wait on now, where admission has already passed over it.
func enforceMaxWait(ctx context.Context, tx pgx.Tx, scope string) error {
	batch := &pgx.Batch{}
	for table, which := range map[string]string{"waiting": "", "slots": " and status = 'scheduled'"} {
		batch.Queue(`update `+table+` t set wait_until = queued_at + (select min(max_wait) from gates
			where scope in ('', t.pack, t.action)) where $1 in ('', pack, action)`+which, scope)
	}
	batch.Queue(`update heads set passed = 0
		where queue_id in (select queue_id from waiting where $1 in ('', pack, action))`, scope)
	return tx.SendBatch(ctx, batch).Close()
}

// gate is a policy as the table gates holds it.
type gate struct {
	total, perQueue, rate, window, quota, period, maxWaiting, maxWait *int
	key                                                               []string
	method                                                            attune.Method
}

func gateOf(p attune.Policy) gate {
	g := gate{key: []string{}, method: attune.MethodEnqueue, maxWaiting: p.MaxWaiting, maxWait: p.MaxWaitSeconds}
	if c := p.Concurrency; c != nil {
		g.total = &c.Limit
		if len(c.Key) > 0 {
			g.key, g.total, g.perQueue = c.Key, c.Total, &c.Limit
		}
		if c.Method != "" {
			g.method = c.Method
		}
	}
	if p.RateLimit != nil {
		g.rate, g.window = &p.RateLimit.MaxExecutions, &p.RateLimit.WindowSeconds
	}
	if p.Quota != nil {
		g.quota, g.period = &p.Quota.MaxExecutions, &p.Quota.PeriodSeconds
	}
	return g
}

func (g gate) empty() bool {
	return g.total == nil && g.perQueue == nil && g.rate == nil && g.quota == nil &&
		g.maxWaiting == nil && g.maxWait == nil
}

func (g gate) upsert(ctx context.Context, tx pgx.Tx, scope string) error {
	_, err := tx.Exec(ctx, `
		insert into gates (scope, concurrency_limit, queue_limit, concurrency_key, method, rate_limit, rate_window,
			quota_limit, quota_seconds, max_waiting, max_wait)
		values (@scope, @total, @per_queue, @key, @method, @rate, @window * interval '1 second',
			@quota, @period, @max_waiting, @max_wait * interval '1 second')
		on conflict (scope) do update set concurrency_limit = excluded.concurrency_limit,
			queue_limit = excluded.queue_limit, concurrency_key = excluded.concurrency_key, method = excluded.method,
			rate_limit = excluded.rate_limit, rate_window = excluded.rate_window, quota_limit = excluded.quota_limit,
			quota_seconds = excluded.quota_seconds, max_waiting = excluded.max_waiting, max_wait = excluded.max_wait`,
		pgx.NamedArgs{
			"scope": scope, "total": g.total, "per_queue": g.perQueue, "key": g.key, "method": g.method,
			"rate": g.rate, "window": g.window, "quota": g.quota, "period": g.period,
			"max_waiting": g.maxWaiting, "max_wait": g.maxWait,
		})
	return err
}
