package storage

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Workers are the processes that run executions and build images.
type Workers struct{ pool *pgxpool.Pool }

// Worker is one of them.
type Worker struct {
	Name           string    `json:"name"`
	Capacity       int       `json:"capacity"`
	StartedAt      time.Time `json:"started_at"`
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// Alive: its lease holds, by the database's clock.
	Alive bool `json:"alive"`
	// Executions are the ids of those that hold a slot on it.
	Executions []string `json:"executions"`
}

// Heartbeat makes the worker known, or renews its lease, which ends by the database's clock.
func (s *Workers) Heartbeat(ctx context.Context, name string, capacity int, lease time.Duration) error {
	_, err := s.pool.Exec(ctx, `insert into workers (name, capacity, lease_expires_at) values ($1, $2, clock_timestamp() + $3)
		on conflict (name) do update set capacity = $2, lease_expires_at = clock_timestamp() + $3`, name, capacity, lease)
	return Translate("renew lease", err)
}

// List returns all workers by name.
func (s *Workers) List(ctx context.Context) ([]Worker, error) {
	return list(ctx, s.pool, "list workers", scanWorker, `select name, capacity, started_at, lease_expires_at, lease_expires_at > now(),
		array(select e.id::text from executions e where e.worker = w.name
			and e.status in ('scheduled', 'running', 'canceling') order by e.id)
		from workers w order by name`)
}

// Delete forgets a worker that is gone for good; what it was installing goes back to pending. It refuses while the
// worker's lease holds or executions are still booked on it, which the scheduler must end first.
func (s *Workers) Delete(ctx context.Context, name string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var alive, busy bool
		err := tx.QueryRow(ctx, `select lease_expires_at > now(), exists (select from executions e
			where e.worker = w.name and e.status in ('scheduled', 'running', 'canceling'))
			from workers w where name = $1 for update`, name).Scan(&alive, &busy)
		if err != nil {
			return err
		}
		if alive || busy {
			return attune.Errorf(attune.CodeConflict, "worker %q is alive or holds executions", name)
		}
		if err := resetLost(ctx, tx, name); err != nil {
			return err
		}
		return change(ctx, tx, `delete from workers where name = $1`, name)
	})
	return Translate("delete worker", err, attune.Errorf(attune.CodeNotFound, "there is no worker %q", name))
}

func scanWorker(row pgx.Row) (w Worker, err error) {
	err = row.Scan(&w.Name, &w.Capacity, &w.StartedAt, &w.LeaseExpiresAt, &w.Alive, &w.Executions)
	return w, err
}
