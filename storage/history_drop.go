package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxKept bounds what Kept holds in memory.
const maxKept = 100_000

// Kept lists the executions that stay although they were submitted before a day: those that wait, pause or run, and those
// that ended on that day or later when their own day had no partition any more.
func (s *History) Kept(ctx context.Context, before time.Time) ([]string, error) {
	ids, err := list(ctx, s.pool, "list executions that stay", func(row pgx.Row) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `select id::text from (
		select id from waiting union all select id from delayed union all select id from slots where status <> 'free'
		union all select id from finished_default where finished_at >= $1) e
		where id < uuid_floor($1) limit $2`, before, maxKept+1)
	if err == nil && len(ids) > maxKept {
		return nil, fmt.Errorf("more than %d executions submitted before %s still wait or run, so nothing older is removed: "+
			"see `attune queue list` for what holds them", maxKept, before.Format(time.DateOnly))
	}
	return ids, err
}

// Drop drops the partitions of a day. Their objects must be gone. What is in kept stays, in the default partitions: the
// earlier attempts of what is not over, and what ended since Kept was asked.
func (s *History) Drop(ctx context.Context, day time.Time, kept []string) error {
	var there [2]bool
	if err := s.pool.QueryRow(ctx, `select to_regclass($1) is not null, to_regclass($2) is not null`,
		partitionOf("finished", day), partitionOf("attempts", day)).Scan(&there[0], &there[1]); err != nil {
		return Translate("look for a day of history", err)
	}
	err := s.alter(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for i, t := range historyTables {
			if !there[i] {
				continue
			}
			partition := partitionOf(t.name, day)
			batch.Queue(fmt.Sprintf(`alter table %s detach partition %s`, t.name, partition))
			batch.Queue(fmt.Sprintf(`insert into %s select * from %s where %s = any($1::uuid[])`, t.name, partition, t.id), kept)
			batch.Queue(`drop table ` + partition)
		}
		return sendEach(ctx, tx, batch)
	})
	if sqlState(err) == "42P01" { // undefined_table: somebody else has just dropped it
		return nil
	}
	return Translate("drop a day of history", err)
}

// strayBatch bounds how many rows one statement removes.
const strayBatch = 5_000

// HasStray tells whether executions are left in the default partition that were submitted and ended before a day.
func (s *History) HasStray(ctx context.Context, before time.Time) (stray bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from finished_default where id < uuid_floor($1) and finished_at < $1)`,
		before).Scan(&stray)
	return stray, Translate("look for history without a partition", err)
}

// RemoveStray removes these executions with their attempts. Their objects must be gone.
func (s *History) RemoveStray(ctx context.Context, before time.Time) error {
	err := s.inBatches(ctx, `with old as (
			select id from finished_default where id < uuid_floor($1) and finished_at < $1 order by id limit $2
		), tried as (
			delete from attempts_default where execution_id in (select id from old)
		)
		delete from finished_default where id in (select id from old)`, before, strayBatch)
	return Translate("remove history without a partition", err)
}

// ForgetKeys removes the idempotency keys that are older than age.
func (s *History) ForgetKeys(ctx context.Context, age time.Duration) error {
	err := s.inBatches(ctx, `delete from idempotency_keys where (token, key) in (
		select token, key from idempotency_keys where created_at < now() - $1::interval order by created_at limit $2)`,
		age, strayBatch)
	return Translate("forget idempotency keys", err)
}

// inBatches repeats a statement that deletes at most strayBatch rows until none is left.
func (s *History) inBatches(ctx context.Context, sql string, args ...any) error {
	for {
		tag, err := s.pool.Exec(ctx, sql, args...)
		if err != nil || tag.RowsAffected() < strayBatch {
			return err
		}
	}
}
