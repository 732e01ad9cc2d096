package scheduler

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"attune"
	"attune/storage"
)

// workerLife is one process under a worker's name.
type workerLife struct {
	Name string
	// ID is a UUID, different for each process.
	ID       string
	Host     string
	Capacity int
	Labels   map[string]string
}

// lease is how long a worker counts as alive after its last heartbeat, by the database's clock. storage.Alive is the
// condition.
const lease = 15 * time.Second

// register makes a worker known under its name, in place of the process that had it before, with as many slots as its
// capacity. What the earlier process held stays in its slots. CodeConflict: the name is another host's.
func (q *Queue) register(ctx context.Context, life workerLife) error {
	labels, err := json.Marshal(life.Labels)
	if err != nil || life.Labels == nil {
		labels = []byte("{}")
	}
	err = q.admission(ctx, func(tx pgx.Tx) error {
		named, err := tx.Exec(ctx, takeName, pgx.NamedArgs{
			"name": life.Name, "life": life.ID, "host": life.Host, "capacity": life.Capacity, "labels": labels,
			"lease": lease,
		})
		if err != nil {
			return err
		}
		if named.RowsAffected() == 0 {
			return otherHost(ctx, tx, life.Name)
		}
		more, err := tx.Exec(ctx, `insert into slots (worker, number) select $1, n from generate_series(1, $2) n
			where not exists (select from slots where worker = $1 and number = n)`, life.Name, life.Capacity)
		if err != nil {
			return err
		}
		fewer, err := tx.Exec(ctx, `delete from slots where worker = $1 and number > $2 and status = 'free'`,
			life.Name, life.Capacity)
		if err != nil || more.RowsAffected()+fewer.RowsAffected() == 0 {
			return err
		}
		// The number of slots changes here and nowhere else, and plans made for another number look at all of them
		// each time.
		_, err = tx.Exec(ctx, `analyze slots`)
		return err
	})
	return storage.Translate("register worker", err)
}

// takeName writes the row of a worker, unless another host has the name and is alive, or may still run executions.
const takeName = `
	insert into workers (name, life, host, capacity, labels, started_at, lease_expires_at)
	values (@name, @life, @host, @capacity, @labels, clock_timestamp(), clock_timestamp() + @lease)
	on conflict (name) do update set life = excluded.life, host = excluded.host, capacity = excluded.capacity,
		labels = excluded.labels, started_at = excluded.started_at, lease_expires_at = excluded.lease_expires_at
	where workers.host in ('', excluded.host) or excluded.host = ''
		or not (` + storage.Alive + `) and not exists (select from slots where worker = @name and status <> 'free')`

// otherHost says what to do about a name that another host has.
func otherHost(ctx context.Context, tx pgx.Tx, name string) error {
	var alive bool
	err := tx.QueryRow(ctx, `select `+storage.Alive+` from workers where name = $1`, name).Scan(&alive)
	switch {
	case err != nil:
		return err
	case alive:
		return attune.Errorf(attune.CodeConflict, "worker %q is alive on another host, so this data folder is a copy: "+
			"remove its folder \"worker\", and this host gets a name of its own", name)
	default:
		return attune.Errorf(attune.CodeConflict, "worker %[1]q was on another host, where executions may still run: "+
			"if that host is gone for good, run \"attune worker forget %[1]s\" and start again; if this data folder is a copy, "+
			"remove its folder \"worker\", and this host gets a name of its own", name)
	}
}

// heartbeat renews the lease. CodeConflict: the worker was forgotten, or another process has its name.
func (q *Queue) heartbeat(ctx context.Context, life workerLife) error {
	tag, err := q.db.Pool().Exec(ctx, `update workers set lease_expires_at = clock_timestamp() + $3
		where name = $1 and life = $2`, life.Name, life.ID, lease)
	if err == nil && tag.RowsAffected() == 0 {
		return attune.Errorf(attune.CodeConflict, "worker %q was forgotten, or another process has its name", life.Name)
	}
	return storage.Translate("renew lease", err)
}
