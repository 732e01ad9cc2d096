package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// enqueueByPolicy queues entries, all or none, with everything that policies have to say: quotas, max_waiting and methods. It
// returns errOutdated when one of them must be checked anew.
func (q *Queue) enqueueByPolicy(ctx context.Context, once *Once, all []entry) (made []attune.Execution, err error) {
	var cancelled []string
	repeated := false
	err = q.transact(ctx, func(tx pgx.Tx) error {
		if once != nil {
			if made, repeated, err = q.repeat(ctx, tx, *once); err != nil || repeated {
				return err
			}
		}
		made, cancelled, err = q.enterByPolicy(ctx, tx, all)
		if err != nil || once == nil {
			return err
		}
		return once.remember(ctx, tx, made)
	})
	if err != nil {
		if isOutdated(err) {
			return nil, err
		}
		return nil, storage.Translate("enqueue executions", err)
	}
	if !repeated {
		q.signalAll()
		q.waiters.tell(cancelled...)
	}
	return made, nil
}

// enterByPolicy takes the locks, one kind after the other, and then decides for each entry in turn.
func (q *Queue) enterByPolicy(ctx context.Context, tx pgx.Tx, all []entry) (made []attune.Execution, cancelled []string, err error) {
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
		for _, g := range gates {
			if !g.covers(e.action) {
				continue
			}
			if err := g.admit(ctx, tx, e); err != nil {
				if len(all) > 1 {
					err = ofMember(i, err)
				}
				return nil, nil, err
			}
		}
		one, err := enterAll(ctx, tx, all[i:i+1])
		if err != nil {
			return nil, nil, err
		}
		made = append(made, one...)
		superseded, err := q.supersede(ctx, tx, gates, e)
		if err != nil {
			return nil, nil, err
		}
		cancelled = append(cancelled, superseded...)
	}
	if len(cancelled) == 0 {
		return made, nil, nil
	}
	// Others have left the line, and may be members of the same batch.
	for i := range made {
		if made[i], err = storage.GetExecution(ctx, tx, made[i].ID); err != nil {
			return nil, nil, err
		}
	}
	return made, cancelled, nil
}

func enterAll(ctx context.Context, tx pgx.Tx, all []entry) ([]attune.Execution, error) {
	batch := &pgx.Batch{}
	places := insert(batch, all, true)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	made := make([]attune.Execution, len(all))
	for i, at := range places {
		if at == nil {
			return nil, errOutdated
		}
		made[i] = all[i].execution(at)
	}
	return made, nil
}

// submissionGate is what a scope's policy says about submissions.
type submissionGate struct {
	ID           int32
	Scope        string
	Checks       bool
	Method       attune.Method
	Slots        *int // of a queue, where the scope is an action
	QuotaLimit   *int
	QuotaSeconds *int
	MaxWaiting   *int
}

func (g submissionGate) covers(a *installedAction) bool {
	return g.Scope == "" || g.Scope == a.Pack || g.Scope == a.Ref
}

// lockGates reads the gates over some actions and takes the locks of those that count submissions, and before them the
// admission lock where an older execution may have to give way. What a gate says is read again under its lock.
func lockGates(ctx context.Context, tx pgx.Tx, all []entry) ([]submissionGate, error) {
	scopes := []string{""}
	for _, e := range all {
		scopes = append(scopes, e.action.Pack, e.action.Ref)
	}
	gates, err := readGates(ctx, tx, scopes)
	if err != nil {
		return nil, err
	}
	batch := &pgx.Batch{}
	if slices.ContainsFunc(gates, func(g submissionGate) bool { return g.Method == attune.MethodCancelOldest }) {
		batch.Queue(`select pg_advisory_xact_lock($1, 0)`, lockAdmission)
	}
	batch.Queue(`select pg_advisory_xact_lock_shared($1, 0)`, lockSubmission)
	var ids []int32
	for _, g := range gates {
		if g.Checks {
			ids = append(ids, g.ID)
		}
	}
	batch.Queue(`select pg_advisory_xact_lock($1, id) from unnest($2::integer[]) id`, lockGate, ids)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	again, err := readGates(ctx, tx, scopes)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(gates, again, func(a, b submissionGate) bool { return a.ID == b.ID && a.Checks == b.Checks && a.Method == b.Method }) {
		return nil, errOutdated // the locks are those of other policies
	}
	return again, nil
}

func readGates(ctx context.Context, tx pgx.Tx, scopes []string) ([]submissionGate, error) {
	rows, err := tx.Query(ctx, `select id, scope, checks_submission, method, case when position('.' in scope) > 0
			then coalesce(queue_limit, concurrency_limit) end, quota_limit, quota_seconds, max_waiting
		from gates where scope = any($1) order by id`, scopes)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[submissionGate])
}

// admit turns a submission away, or counts it.
func (g submissionGate) admit(ctx context.Context, tx pgx.Tx, e entry) error {
	if g.MaxWaiting != nil {
		if err := g.checkWaiting(ctx, tx); err != nil {
			return err
		}
	}
	if g.Method == attune.MethodReject && g.Slots != nil {
		if err := g.checkSlots(ctx, tx, e); err != nil {
			return err
		}
	}
	if g.QuotaLimit == nil {
		return nil
	}
	var left float64
	err := tx.QueryRow(ctx, `
		with clock as (
			select floor(extract(epoch from clock_timestamp()) / $2)::bigint as period, extract(epoch from clock_timestamp()) as now
		), counted as (
			update gates g set quota_used = case when quota_period = period then quota_used else 0 end + 1, quota_period = period
			from clock where g.id = $1 and (quota_period <> period or quota_used < $3)
			returning 1
		)
		select case when exists (select from counted) then 0 else ((period + 1) * $2 - now)::float8 end from clock`,
		g.ID, *g.QuotaSeconds, *g.QuotaLimit).Scan(&left)
	if err != nil || left == 0 {
		return err
	}
	return rejected(time.Duration(left*float64(time.Second)), "the quota of %s is used up: %d executions per %s",
		scopeOf(g.Scope), *g.QuotaLimit, time.Duration(*g.QuotaSeconds)*time.Second)
}

func (g submissionGate) checkWaiting(ctx context.Context, tx pgx.Tx) error {
	var waiting int
	err := tx.QueryRow(ctx, `select coalesce(sum(q.entered - h.departed), 0) from queues q join heads h on h.queue_id = q.id
		where q.busy and $1 in ('', q.pack, q.action)`, g.Scope).Scan(&waiting)
	if err != nil || waiting < *g.MaxWaiting {
		return err
	}
	return rejected(retryLater, "%d executions of %s wait already, and no more than %d may", waiting, scopeOf(g.Scope), *g.MaxWaiting)
}

func (g submissionGate) checkSlots(ctx context.Context, tx pgx.Tx, e entry) error {
	var open int
	err := tx.QueryRow(ctx, `select (select count(*) from slots where queue_id = $1 and status <> 'free') +
		(select q.entered - h.departed from queues q join heads h on h.queue_id = q.id where q.id = $1)`, e.queue).Scan(&open)
	if err != nil || open < *g.Slots {
		return err
	}
	return rejected(retryLater, "all %d slots of %s are taken, and its policy rejects what would have to wait", *g.Slots, e.action.Ref)
}

// supersede ends the oldest executions of an entry's queue, so that no more are left than have slots.
func (q *Queue) supersede(ctx context.Context, tx pgx.Tx, gates []submissionGate, e entry) ([]string, error) {
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

// retryLater is when to come back where nothing tells how long it will take.
const retryLater = 5 * time.Second

func rejected(after time.Duration, format string, args ...any) error {
	e := attune.Errorf(attune.CodeRejected, format, args...)
	e.RetryAfter = after
	return e
}

// scopeOf is a scope in a sentence.
func scopeOf(scope string) string {
	if scope == "" {
		return "the service"
	}
	return fmt.Sprintf("%q", scope)
}
