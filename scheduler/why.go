package scheduler

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// Why explains why an execution has not started. All figures are of one snapshot, so that they fit together; the next
// instant may have others. CodeNotFound.
func (q *Queue) Why(ctx context.Context, id string) (attune.Explanation, error) {
	var x attune.Explanation
	err := q.snapshot(ctx, func(tx pgx.Tx) error {
		e, err := storage.GetExecution(ctx, tx, id)
		if err != nil {
			return err
		}
		x = attune.Explanation{Execution: e.ID, Status: e.Status, Action: e.Action, Key: e.Key, Position: e.Position}
		switch {
		case e.RetryAt != nil:
			x.Gate = &attune.Gate{
				Kind: attune.GateBackoff, Scope: "queues/" + e.Action, Taken: e.Attempt - 1, OpensAt: e.RetryAt,
			}
			x.ExpectedStartAt = e.RetryAt
		case e.Position != nil:
			err = explainWait(ctx, tx, e, &x)
		}
		x.Summary = summary(x)
		return err
	})
	return x, storage.Translate("explain execution", err)
}

// snapshot runs fn in a transaction that reads one snapshot.
func (q *Queue) snapshot(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, q.db.Lists(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// explainWait finds the gate that holds the head of an execution's queue and estimates when its own turn comes.
func explainWait(ctx context.Context, tx pgx.Tx, e attune.Execution, x *attune.Explanation) error {
	v, err := view(ctx, tx, e)
	if err != nil {
		return err
	}
	closed := v.closedGate(e)
	if closed == nil {
		x.ExpectedStartAt = &v.Now
		return nil
	}
	x.Gate = &closed.Gate
	x.ExpectedStartAt, err = v.estimate(ctx, tx, e, closed)
	return err
}

// waitView is what explains a wait, at one instant.
type waitView struct {
	Now      time.Time
	QueueID  int32
	Ticket   int64
	Duration *float64 // the mean of recent runs of the action, in seconds
	// Capacity and Busy count the slots of workers that are alive.
	Capacity, Busy int
	gates          []gateView
}

// gateView is a gate over the execution, from the inside out.
type gateView struct {
	ID                                int32
	Scope                             string
	QueueLimit, Limit, Rate           *int
	WindowSeconds                     *int
	TakenInQueue, Taken, StartedSince int
	OpensAt                           *time.Time
}

func view(ctx context.Context, tx pgx.Tx, e attune.Execution) (waitView, error) {
	var v waitView
	err := tx.QueryRow(ctx, `
		select clock_timestamp(), w.queue_id, w.ticket,
			(select avg(extract(epoch from finished_at - started_at))::float8 from (
				select started_at, finished_at from finished where action = w.action and started_at is not null
					and id >= uuid_floor(clock_timestamp() - interval '7 days')
				order by id desc limit 20) recent),
			(select coalesce(sum(capacity), 0) from workers where `+storage.Alive+`),
			(select count(*) from slots s join workers on workers.name = s.worker
				where s.status <> 'free' and `+storage.Alive+`)
		from waiting w where w.id = $1`, e.ID).Scan(&v.Now, &v.QueueID, &v.Ticket, &v.Duration, &v.Capacity, &v.Busy)
	if err != nil {
		return v, err
	}
	rows, err := tx.Query(ctx, `
		select g.id, g.scope, g.queue_limit, g.concurrency_limit, g.rate_limit, extract(epoch from g.rate_window)::integer,
			(select count(*) from slots where queue_id = $1 and status <> 'free'),
			(select count(*) from slots s where s.status <> 'free' and g.scope in ('', s.pack, s.action)),
			(select count(*) from starts s where s.gate_id = g.id and s.number > g.started - g.rate_limit
				and s.at > clock_timestamp() - g.rate_window),
			(select s.at + g.rate_window from starts s where s.gate_id = g.id and s.number = g.started - g.rate_limit + 1)
		from gates g where g.scope in ('', $2, $3) order by length(g.scope) desc`, v.QueueID, e.Pack, e.Action)
	if err != nil {
		return v, err
	}
	v.gates, err = pgx.CollectRows(rows, pgx.RowToStructByPos[gateView])
	return v, err
}

// closedGate is a gate without room, and whose it is.
type closedGate struct {
	attune.Gate
	id    int32
	scope string
	queue bool // the gate is the queue's own
}

// closedGate returns the innermost gate without room, nil when all have some.
func (v waitView) closedGate(e attune.Execution) *closedGate {
	for _, g := range v.gates {
		if g.QueueLimit != nil && g.TakenInQueue >= *g.QueueLimit {
			return &closedGate{scope: g.Scope, queue: true, Gate: attune.Gate{
				Kind: attune.GateConcurrency, Scope: "queues/" + e.Action, Limit: *g.QueueLimit, Taken: g.TakenInQueue}}
		}
		if g.Limit != nil && g.Taken >= *g.Limit {
			return &closedGate{scope: g.Scope, Gate: attune.Gate{
				Kind: attune.GateConcurrency, Scope: storage.ScopeName(g.Scope), Limit: *g.Limit, Taken: g.Taken}}
		}
		if g.Rate != nil && g.StartedSince >= *g.Rate {
			return &closedGate{id: g.ID, scope: g.Scope, Gate: attune.Gate{
				Kind: attune.GateRateLimit, Scope: storage.ScopeName(g.Scope), Limit: *g.Rate, Taken: g.StartedSince,
				WindowSeconds: *g.WindowSeconds, OpensAt: g.OpensAt}}
		}
	}
	if v.Busy >= v.Capacity {
		return &closedGate{Gate: attune.Gate{
			Kind: attune.GateWorkers, Scope: "global", Limit: v.Capacity, Taken: v.Busy}}
	}
	return nil
}
