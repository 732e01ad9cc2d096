package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
)

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
	if !slices.EqualFunc(gates, again, submissionGate.locksAs) {
		return nil, errOutdated // the locks are those of other policies
	}
	return again, nil
}

// locksAs reports whether two gates call for the same locks.
func (g submissionGate) locksAs(other submissionGate) bool {
	return g.ID == other.ID && g.Checks == other.Checks && g.Method == other.Method
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

// acceptBy asks each gate over an entry.
func acceptBy(ctx context.Context, tx pgx.Tx, gates []submissionGate, e entry) error {
	for _, g := range gates {
		if !g.covers(e.action) {
			continue
		}
		if err := g.accept(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// accept turns a submission away, with CodeRejected, or counts it.
func (g submissionGate) accept(ctx context.Context, tx pgx.Tx, e entry) error {
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
	if g.QuotaLimit != nil {
		return g.countQuota(ctx, tx)
	}
	return nil
}

// countQuota counts a submission to the quota of its period.
func (g submissionGate) countQuota(ctx context.Context, tx pgx.Tx) error {
	var left float64 // seconds until the next period, 0 when the submission was counted
	err := tx.QueryRow(ctx, `
		with clock as (
			select floor(extract(epoch from clock_timestamp()) / @seconds)::bigint as period,
				extract(epoch from clock_timestamp()) as now
		), counted as (
			update gates g set quota_period = period,
				quota_used = case when quota_period = period then quota_used else 0 end + 1
			from clock where g.id = @gate and (quota_period <> period or quota_used < @quota)
			returning 1
		)
		select case when exists (select from counted) then 0 else ((period + 1) * @seconds - now)::float8 end from clock`,
		pgx.NamedArgs{"gate": g.ID, "seconds": *g.QuotaSeconds, "quota": *g.QuotaLimit}).Scan(&left)
	if err != nil || left == 0 {
		return err
	}
	return rejected(time.Duration(left*float64(time.Second)), "the quota of %s is used up: %d executions per %s",
		scopeOf(g.Scope), *g.QuotaLimit, time.Duration(*g.QuotaSeconds)*time.Second)
}

func (g submissionGate) checkWaiting(ctx context.Context, tx pgx.Tx) error {
	var waiting int
	err := tx.QueryRow(ctx, `select coalesce(sum(q.entered - h.departed), 0)
		from queues q join heads h on h.queue_id = q.id
		where q.busy and $1 in ('', q.pack, q.action)`, g.Scope).Scan(&waiting)
	if err != nil || waiting < *g.MaxWaiting {
		return err
	}
	return rejected(retryLater, "%d executions of %s wait already, and no more than %d may",
		waiting, scopeOf(g.Scope), *g.MaxWaiting)
}

func (g submissionGate) checkSlots(ctx context.Context, tx pgx.Tx, e entry) error {
	var open int
	err := tx.QueryRow(ctx, `select (select count(*) from slots where queue_id = $1 and status <> 'free') +
		(select q.entered - h.departed from queues q join heads h on h.queue_id = q.id where q.id = $1)`,
		e.queue).Scan(&open)
	if err != nil || open < *g.Slots {
		return err
	}
	return rejected(retryLater, "all %d slots of %s are taken, and its policy rejects what would have to wait",
		*g.Slots, e.action.Ref)
}

// retryLater is the Retry-After of a rejection when it is not known how long the way will be closed.
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
