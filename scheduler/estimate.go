package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// estimate returns when an execution behind a closed gate is expected to start, nil when there is nothing to estimate
// from. It also fills in the holders of the gate's slots.
func (v waitView) estimate(ctx context.Context, tx pgx.Tx, e attune.Execution, g *closedGate) (*time.Time, error) {
	ahead, err := v.ahead(ctx, tx, e, g)
	if err != nil {
		return nil, err
	}
	if g.Kind == attune.GateRateLimit {
		return windowOpens(ctx, tx, g, ahead)
	}
	holders, err := v.holders(ctx, tx, g)
	if err != nil {
		return nil, err
	}
	g.Holders = holders[:min(len(holders), attune.MaxHolders)]
	if v.Duration == nil || len(holders) == 0 {
		return nil, nil
	}
	duration := time.Duration(*v.Duration * float64(time.Second))
	left := remaining(holders, v.Now, duration)
	// The slots come free one after the other, and again a run's length later.
	rounds := time.Duration(ahead / len(left))
	at := v.Now.Add(left[ahead%len(left)] + rounds*duration)
	return &at, nil
}

// ahead counts the executions that go through the gate before this one.
func (v waitView) ahead(ctx context.Context, tx pgx.Tx, e attune.Execution, g *closedGate) (n int, err error) {
	if g.queue {
		return *e.Position - 1, nil
	}
	err = tx.QueryRow(ctx, `select count(*) from waiting where $1 in ('', pack, action) and ticket < $2`,
		g.scope, v.Ticket).Scan(&n)
	return n, err
}

// windowOpens returns when a rate limit lets another one start after as many as are ahead.
func windowOpens(ctx context.Context, tx pgx.Tx, g *closedGate, ahead int) (*time.Time, error) {
	var at *time.Time
	err := tx.QueryRow(ctx, `select (select s.at + g.rate_window from starts s
			where s.gate_id = g.id and s.number = g.started - g.rate_limit + 1 + $2 % g.rate_limit)
			+ ($2 / g.rate_limit) * g.rate_window
		from gates g where g.id = $1`, g.id, ahead).Scan(&at)
	return at, err
}

// holders lists the executions that have the gate's slots, oldest first.
func (v waitView) holders(ctx context.Context, tx pgx.Tx, g *closedGate) ([]attune.Holder, error) {
	rows, err := tx.Query(ctx, `select id::text, action, status, worker, scheduled_at, started_at from slots
		where status <> 'free' and case when $1 then queue_id = $2 else $3 in ('', pack, action) end
			and (not $4 or exists (select from workers where name = slots.worker and `+storage.Alive+`))
		order by scheduled_at, ticket`, g.queue, v.QueueID, g.scope, g.Kind == attune.GateWorkers)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[attune.Holder])
}

// remaining returns how long holders of slots will probably keep them, shortest first, if each runs as long as usual.
func remaining(holders []attune.Holder, now time.Time, usual time.Duration) []time.Duration {
	left := make([]time.Duration, len(holders))
	for i, h := range holders {
		since := h.ScheduledAt
		if h.StartedAt != nil {
			since = *h.StartedAt
		}
		left[i] = max(0, usual-now.Sub(since))
	}
	slices.Sort(left)
	return left
}
