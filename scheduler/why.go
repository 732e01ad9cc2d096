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
	err := pgx.BeginTxFunc(ctx, q.db.Pool(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		e, err := storage.GetExecution(ctx, tx, id)
		if err != nil {
			return err
		}
		x = attune.Explanation{Execution: e.ID, Status: e.Status, Action: e.Action, Key: e.Key, Position: e.Position}
		switch {
		case e.RetryAt != nil:
			x.Gate = &attune.Gate{Kind: attune.GateBackoff, Scope: "queues/" + e.Action, Taken: e.Attempt - 1, OpensAt: e.RetryAt}
			x.ExpectedStartAt = e.RetryAt
		case e.Position != nil:
			err = explainWait(ctx, tx, e, &x)
		}
		x.Summary = summary(x)
		return err
	})
	return x, storage.Translate("explain execution", err)
}

// explainWait finds the gate that holds the head of an execution's queue and estimates when its own turn comes.
func explainWait(ctx context.Context, tx pgx.Tx, e attune.Execution, x *attune.Explanation) error {
	v, err := view(ctx, tx, e)
	if err != nil {
		return err
	}
	found := v.closedGate(e)
	if found == nil {
		x.ExpectedStartAt = &v.Now
		return nil
	}
	x.Gate = &found.Gate
	ahead, err := v.ahead(ctx, tx, e, found)
	if err != nil {
		return err
	}
	if found.Kind == attune.GateRateLimit {
		x.ExpectedStartAt, err = v.windowOpens(ctx, tx, found, ahead)
		return err
	}
	remaining, err := v.holders(ctx, tx, found)
	if err != nil || v.Duration == nil || len(remaining) == 0 {
		return err
	}
	// The slots come free one after the other, and again a run's length later.
	rounds := time.Duration(ahead / len(remaining))
	at := v.Now.Add(remaining[ahead%len(remaining)] + rounds*seconds(*v.Duration))
	x.ExpectedStartAt = &at
	return nil
}

// waitView is what explains a wait, at one instant.
type waitView struct {
	Now      time.Time
	QueueID  int32
	Ticket   int64
	Duration *float64 // the mean of recent runs of the action, in seconds
	// Places and Busy are those of workers that are alive.
	Places, Busy int
	gates        []gateView
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
			(select count(*) from slots s join workers on workers.name = s.worker where s.status <> 'free' and `+storage.Alive+`)
		from waiting w where w.id = $1`, e.ID).Scan(&v.Now, &v.QueueID, &v.Ticket, &v.Duration, &v.Places, &v.Busy)
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

// heldBy is a closed gate with what it takes to look behind it.
type heldBy struct {
	attune.Gate
	id    int32
	scope string
	queue bool // the gate is the queue's own
}

// closedGate is the innermost gate without room, nil when all have some.
func (v waitView) closedGate(e attune.Execution) *heldBy {
	for _, g := range v.gates {
		if g.QueueLimit != nil && g.TakenInQueue >= *g.QueueLimit {
			return &heldBy{scope: g.Scope, queue: true, Gate: attune.Gate{
				Kind: attune.GateConcurrency, Scope: "queues/" + e.Action, Limit: *g.QueueLimit, Taken: g.TakenInQueue}}
		}
		if g.Limit != nil && g.Taken >= *g.Limit {
			return &heldBy{scope: g.Scope, Gate: attune.Gate{
				Kind: attune.GateConcurrency, Scope: storage.ScopeName(g.Scope), Limit: *g.Limit, Taken: g.Taken}}
		}
		if g.Rate != nil && g.StartedSince >= *g.Rate {
			return &heldBy{id: g.ID, scope: g.Scope, Gate: attune.Gate{Kind: attune.GateRateLimit, Scope: storage.ScopeName(g.Scope),
				Limit: *g.Rate, Taken: g.StartedSince, WindowSeconds: *g.WindowSeconds, OpensAt: g.OpensAt}}
		}
	}
	if v.Busy >= v.Places {
		return &heldBy{Gate: attune.Gate{Kind: attune.GateWorkers, Scope: "global", Limit: v.Places, Taken: v.Busy}}
	}
	return nil
}

// ahead counts those who go through the gate before the execution.
func (v waitView) ahead(ctx context.Context, tx pgx.Tx, e attune.Execution, h *heldBy) (n int, err error) {
	if h.queue {
		return *e.Position - 1, nil
	}
	err = tx.QueryRow(ctx, `select count(*) from waiting where $1 in ('', pack, action) and ticket < $2`, h.scope, v.Ticket).Scan(&n)
	return n, err
}

// windowOpens is when the window of a rate limit lets the next but so many through.
func (v waitView) windowOpens(ctx context.Context, tx pgx.Tx, h *heldBy, ahead int) (*time.Time, error) {
	var at *time.Time
	err := tx.QueryRow(ctx, `select (select s.at + g.rate_window from starts s
			where s.gate_id = g.id and s.number = g.started - g.rate_limit + 1 + $2 % g.rate_limit)
			+ ($2 / g.rate_limit) * g.rate_window
		from gates g where g.id = $1`, h.id, ahead).Scan(&at)
	return at, err
}

// holders fills in who has the slots, and returns how long each will probably keep its own, shortest first.
func (v waitView) holders(ctx context.Context, tx pgx.Tx, h *heldBy) ([]time.Duration, error) {
	rows, err := tx.Query(ctx, `select id::text, action, status, worker, scheduled_at, started_at from slots
		where status <> 'free' and case when $1 then queue_id = $2 else $3 in ('', pack, action) end
			and (not $4 or exists (select from workers where name = slots.worker and `+storage.Alive+`))
		order by scheduled_at, ticket`, h.queue, v.QueueID, h.scope, h.Kind == attune.GateWorkers)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[attune.Holder])
	if err != nil {
		return nil, err
	}
	h.Holders = all[:min(len(all), attune.MaxHolders)]
	if v.Duration == nil {
		return nil, nil
	}
	return remaining(all, v.Now, seconds(*v.Duration)), nil
}
