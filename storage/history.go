package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// History is what is over: the tables finished and attempts. Both have one partition a day, by the time of submission, and
// one for what has no day of its own. A day is given by its midnight, in UTC.
type History struct{ pool *pgxpool.Pool }

// historyTables are the partitioned tables with their keys, in the order in which they are locked.
var historyTables = []struct{ name, id string }{{"finished", "id"}, {"attempts", "execution_id"}}

// partitionOf names the partition of a day, as the function ensure_history does.
func partitionOf(table string, day time.Time) string {
	return table + "_" + day.UTC().Format("20060102")
}

// Alone runs fn unless some process is at it already. The lock has a connection of its own, which is idle meanwhile; should
// it be lost, two processes may work at once, which costs time and nothing else.
func (s *History) Alone(ctx context.Context, fn func() error) error {
	var failed error
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local idle_in_transaction_session_timeout = 0`); err != nil {
			return err
		}
		var free bool
		if err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1, 0)`, LockHistory).Scan(&free); err != nil || !free {
			return err
		}
		failed = fn()
		return nil
	})
	return errors.Join(failed, Translate("take turns with history", err))
}

// Today is the day by the database's clock, and the time of it.
func (s *History) Today(ctx context.Context) (today, now time.Time, err error) {
	err = s.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now)
	now = now.UTC()
	return now.Truncate(24 * time.Hour), now, Translate("ask the database for the time", err)
}

// Days lists the days that have a partition, oldest first.
func (s *History) Days(ctx context.Context) ([]time.Time, error) {
	return list(ctx, s.pool, "list days of history", func(row pgx.Row) (day time.Time, err error) {
		err = row.Scan(&day)
		return day, err
	}, `select distinct to_date(right(c.relname, 8), 'YYYYMMDD') as day
		from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent in ('finished'::regclass, 'attempts'::regclass) and c.relname ~ '^(finished|attempts)_[0-9]{8}$'
		order by day`)
}

// Count tells how many executions of a day are over; it stops counting at most.
func (s *History) Count(ctx context.Context, day time.Time, most int) (n int, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (
		select from finished where id >= uuid_floor($1) and id < uuid_floor($2) limit $3) counted`,
		day, day.AddDate(0, 0, 1), most).Scan(&n)
	return n, Translate("count a day of history", err)
}

// mostMoved bounds how many rows are moved while nobody can end an execution: a fraction of a second.
const mostMoved = 10_000

// Prepare makes the partitions of a day. Best it is called days ahead: it waits for whoever reads history, a backup too, and
// all who end executions wait with it, for lockTimeout at a time. What has come to the day already is moved there.
func (s *History) Prepare(ctx context.Context, day time.Time) error {
	var ready bool
	err := s.pool.QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`,
		partitionOf("finished", day), partitionOf("attempts", day)).Scan(&ready)
	if err != nil || ready {
		return Translate("look for a day of history", err)
	}
	err = s.alter(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select ensure_history($1)`, day)
		return err
	})
	if sqlState(err) == "23514" { // check_violation: rows of the day are in the default partition
		return s.prepareLate(ctx, day)
	}
	return Translate("make the partitions of a day", err)
}

func (s *History) prepareLate(ctx context.Context, day time.Time) error {
	next := day.AddDate(0, 0, 1)
	var rows int
	for _, t := range historyTables {
		var n int
		if err := s.pool.QueryRow(ctx, fmt.Sprintf(`select count(*) from (select from %[1]s_default
			where %[2]s >= uuid_floor($1) and %[2]s < uuid_floor($2) limit $3) counted`, t.name, t.id),
			day, next, mostMoved+1).Scan(&n); err != nil {
			return Translate("look for rows without a partition", err)
		}
		rows += n
	}
	if rows > mostMoved {
		return fmt.Errorf("%s has no partition, and too many rows of it are in finished_default and attempts_default to move them "+
			"while executions end; they stay there and are removed row by row when their time comes, so nothing need be done",
			day.Format(time.DateOnly))
	}
	return Translate("move rows to the partitions of their day", s.alter(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, t := range historyTables {
			batch.Queue(fmt.Sprintf(`alter table %[1]s detach partition %[1]s_default`, t.name))
		}
		batch.Queue(`select ensure_history($1)`, day)
		for _, t := range historyTables {
			own := fmt.Sprintf(`from %[1]s_default where %[2]s >= uuid_floor($1) and %[2]s < uuid_floor($2)`, t.name, t.id)
			batch.Queue(fmt.Sprintf(`insert into %s select * %s`, t.name, own), day, next)
			batch.Queue(`delete `+own, day, next)
			batch.Queue(fmt.Sprintf(`alter table %[1]s attach partition %[1]s_default default`, t.name))
		}
		return sendEach(ctx, tx, batch)
	}))
}
