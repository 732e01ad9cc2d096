package storage

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Workers are the processes that run executions and build images.
type Workers struct{ lists *pgxpool.Pool }

// Alive is the condition that the lease of a row of workers holds. A lease that ends later than any heartbeat can have
// set it was given before the clock was set back, and does not count.
const Alive = `workers.lease_expires_at > clock_timestamp()
	and workers.lease_expires_at < clock_timestamp() + interval '60 seconds'`

// List returns all workers by name.
func (s *Workers) List(ctx context.Context) ([]attune.Worker, error) {
	return list(ctx, s.lists, "list workers", scanWorker, `select name, capacity, labels, started_at, lease_expires_at,
		`+Alive+`, array(select s.id::text from slots s
			where s.worker = workers.name and s.status <> 'free' order by s.scheduled_at, s.ticket)
		from workers order by name`)
}

func scanWorker(row pgx.Row) (w attune.Worker, err error) {
	err = row.Scan(&w.Name, &w.Capacity, &w.Labels, &w.StartedAt, &w.LeaseExpiresAt, &w.Alive, &w.Executions)
	return w, err
}
