package storage

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attune"
)

// Workers are the processes that run executions and build images.
type Workers struct{ pool *pgxpool.Pool }

// Life is one process under a worker's name.
type Life struct {
	Name string
	// ID is a UUID, of each process its own.
	ID       string
	Capacity int
	Labels   map[string]string
}

// Lease is how long a worker counts as alive after its last heartbeat, by the database's clock.
const Lease = 15 * time.Second

// Alive is the condition that the lease of a row of workers holds. One that ends later than any heartbeat can have said was given before the
// clock was set back, and does not count.
const Alive = `workers.lease_expires_at > clock_timestamp() and workers.lease_expires_at < clock_timestamp() + interval '60 seconds'`

// Register makes a worker known under its name, in place of the process that had it before, with as many slots as it has
// places. What the earlier one held stays in its slots.
func (s *Workers) Register(ctx context.Context, life Life) error {
	labels, err := json.Marshal(life.Labels)
	if err != nil || life.Labels == nil {
		labels = []byte("{}")
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, LockAdmission); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into workers (name, life, capacity, labels, started_at, lease_expires_at)
			values ($1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5)
			on conflict (name) do update set life = $2, capacity = $3, labels = $4, started_at = clock_timestamp(),
				lease_expires_at = clock_timestamp() + $5`, life.Name, life.ID, life.Capacity, labels, Lease); err != nil {
			return err
		}
		more, err := tx.Exec(ctx, `insert into slots (worker, number) select $1, n from generate_series(1, $2) n
			where not exists (select from slots where worker = $1 and number = n)`, life.Name, life.Capacity)
		if err != nil {
			return err
		}
		fewer, err := tx.Exec(ctx, `delete from slots where worker = $1 and number > $2 and status = 'free'`, life.Name, life.Capacity)
		if err != nil || more.RowsAffected()+fewer.RowsAffected() == 0 {
			return err
		}
		// The number of slots changes here and nowhere else, and plans made for another one look at all of them for each.
		_, err = tx.Exec(ctx, `analyze slots`)
		return err
	})
	return Translate("register worker", err)
}

// Heartbeat renews the lease. CodeConflict: the worker was forgotten, or another process has its name.
func (s *Workers) Heartbeat(ctx context.Context, life Life) error {
	err := change(ctx, s.pool, `update workers set lease_expires_at = clock_timestamp() + $3 where name = $1 and life = $2`,
		life.Name, life.ID, Lease)
	if errors.Is(err, pgx.ErrNoRows) {
		return attune.Errorf(attune.CodeConflict, "worker %q was forgotten, or another process has its name", life.Name)
	}
	return Translate("renew lease", err)
}

// List returns all workers by name.
func (s *Workers) List(ctx context.Context) ([]attune.Worker, error) {
	return list(ctx, s.pool, "list workers", scanWorker, `select name, capacity, labels, started_at, lease_expires_at, `+Alive+`,
		array(select s.id::text from slots s where s.worker = workers.name and s.status <> 'free' order by s.scheduled_at, s.ticket)
		from workers order by name`)
}

func scanWorker(row pgx.Row) (w attune.Worker, err error) {
	err = row.Scan(&w.Name, &w.Capacity, &w.Labels, &w.StartedAt, &w.LeaseExpiresAt, &w.Alive, &w.Executions)
	return w, err
}
