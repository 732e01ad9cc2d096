package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// history is the tables finished and attempts. A day is given by its midnight, in UTC.
type history struct{ db *storage.DB }

// tables are the partitioned tables with their keys, in the order in which they are locked.
var tables = []struct{ name, id string }{{"finished", "id"}, {"attempts", "execution_id"}}

// partitionOf names the partition of a day, as the function ensure_history does.
func partitionOf(table string, day time.Time) string {
	return table + "_" + day.UTC().Format("20060102")
}

// cleanupLock is the class of the advisory lock (second half 0) of the one process that cleans up history. The
// scheduler has the classes below it.
const cleanupLock = 5

// alone runs fn unless another process is cleaning up. The lock has a connection of its own, which is idle meanwhile;
// should it be lost, two processes may work at once, which costs time and nothing else.
func (h history) alone(ctx context.Context, fn func() error) error {
	var failed error
	err := pgx.BeginFunc(ctx, h.db.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local idle_in_transaction_session_timeout = 0`); err != nil {
			return err
		}
		var free bool
		err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1, 0)`, cleanupLock).Scan(&free)
		if err != nil || !free {
			return err
		}
		failed = fn()
		return nil
	})
	return errors.Join(failed, storage.Translate("take turns with history", err))
}

// today returns the day by the database's clock, and its time.
func (h history) today(ctx context.Context) (today, now time.Time, err error) {
	err = h.db.Pool().QueryRow(ctx, `select clock_timestamp()`).Scan(&now)
	now = now.UTC()
	return now.Truncate(24 * time.Hour), now, storage.Translate("ask the database for the time", err)
}

// days lists the days that have a partition, oldest first.
func (h history) days(ctx context.Context) ([]time.Time, error) {
	return collect[time.Time](ctx, h, "list days of history", `
		select distinct to_date(right(c.relname, 8), 'YYYYMMDD') as day
		from pg_inherits i join pg_class c on c.oid = i.inhrelid
		where i.inhparent in ('finished'::regclass, 'attempts'::regclass)
			and c.relname ~ '^(finished|attempts)_[0-9]{8}$'
		order by day`)
}

// count returns the number of executions of a day that are over; it stops counting at most.
func (h history) count(ctx context.Context, day time.Time, most int) (n int, err error) {
	err = h.db.Pool().QueryRow(ctx, `select count(*) from (
		select from finished where id >= uuid_floor($1) and id < uuid_floor($2) limit $3) counted`,
		day, day.AddDate(0, 0, 1), most).Scan(&n)
	return n, storage.Translate("count a day of history", err)
}

// collect reads a column.
func collect[T any](ctx context.Context, h history, doing, sql string, args ...any) ([]T, error) {
	rows, err := h.db.Pool().Query(ctx, sql, args...)
	if err != nil {
		return nil, storage.Translate(doing, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	return all, storage.Translate(doing, err)
}

// mostMoved bounds the rows that are moved while no execution can end: a fraction of a second.
const mostMoved = 10_000

// prepare makes the partitions of a day. It is best called days ahead: it waits for every reader of history, a backup
// included, and every execution that ends waits behind it, for lockTimeout at a time. Rows of the day that are already
// in the default partitions are moved.
func (h history) prepare(ctx context.Context, day time.Time) error {
	var ready bool
	err := h.db.Pool().QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`,
		partitionOf("finished", day), partitionOf("attempts", day)).Scan(&ready)
	if err != nil || ready {
		return storage.Translate("look for a day of history", err)
	}
	err = h.alter(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `select ensure_history($1)`, day)
		return err
	})
	if sqlState(err) == "23514" { // check_violation: rows of the day are in the default partition
		return h.prepareLate(ctx, day)
	}
	return storage.Translate("make the partitions of a day", err)
}

// prepareLate makes the partitions of a day whose first rows came before it.
func (h history) prepareLate(ctx context.Context, day time.Time) error {
	next := day.AddDate(0, 0, 1)
	var rows int
	for _, t := range tables {
		var n int
		if err := h.db.Pool().QueryRow(ctx, fmt.Sprintf(`select count(*) from (select from %[1]s_default
			where %[2]s >= uuid_floor($1) and %[2]s < uuid_floor($2) limit $3) counted`, t.name, t.id),
			day, next, mostMoved+1).Scan(&n); err != nil {
			return storage.Translate("look for rows without a partition", err)
		}
		rows += n
	}
	if rows > mostMoved {
		return fmt.Errorf("%s has no partition, and too many rows of it are in finished_default and attempts_default "+
			"to move them while executions end; they stay there and are removed row by row when their time comes, "+
			"so nothing need be done", day.Format(time.DateOnly))
	}
	return storage.Translate("move rows to the partitions of their day", h.alter(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, t := range tables {
			batch.Queue(fmt.Sprintf(`alter table %[1]s detach partition %[1]s_default`, t.name))
		}
		batch.Queue(`select ensure_history($1)`, day)
		for _, t := range tables {
			own := fmt.Sprintf(`from %[1]s_default where %[2]s >= uuid_floor($1) and %[2]s < uuid_floor($2)`, t.name, t.id)
			batch.Queue(fmt.Sprintf(`insert into %s select * %s`, t.name, own), day, next)
			batch.Queue(`delete `+own, day, next)
			batch.Queue(fmt.Sprintf(`alter table %[1]s attach partition %[1]s_default default`, t.name))
		}
		return sendEach(ctx, tx, batch)
	}))
}
