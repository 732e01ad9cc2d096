package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/storage"
)

// maxKept bounds what kept holds in memory.
const maxKept = 100_000

// kept lists the executions that stay although they were submitted before a day: those that are not over, and those
// that ended on that day or later when their own day had no partition any more.
func (h history) kept(ctx context.Context, before time.Time) ([]string, error) {
	ids, err := collect[string](ctx, h, "list executions that stay", `select id::text from (
		select id from waiting union all select id from delayed union all select id from slots where status <> 'free'
		union all select id from finished_default where finished_at >= $1) e
		where id < uuid_floor($1) limit $2`, before, maxKept+1)
	if err == nil && len(ids) > maxKept {
		return nil, fmt.Errorf("more than %d executions submitted before %s still wait or run, so nothing older is removed: "+
			"see `attune queue list` for what holds them", maxKept, before.Format(time.DateOnly))
	}
	return ids, err
}

// drop drops the partitions of a day. Their objects must be gone. What is in kept moves to the default partitions:
// earlier attempts of executions that are not over, and executions that ended since kept was read.
func (h history) drop(ctx context.Context, day time.Time, kept []string) error {
	var there [2]bool
	if err := h.db.Pool().QueryRow(ctx, `select to_regclass($1) is not null, to_regclass($2) is not null`,
		partitionOf("finished", day), partitionOf("attempts", day)).Scan(&there[0], &there[1]); err != nil {
		return storage.Translate("look for a day of history", err)
	}
	err := h.alter(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for i, t := range tables {
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
	if sqlState(err) == "42P01" { // undefined_table: another process has just dropped it
		return nil
	}
	return storage.Translate("drop a day of history", err)
}

// batchRows bounds the rows that one statement removes.
const batchRows = 5_000

// hasOrphans reports whether executions are left in the default partition that were submitted and ended before a day.
func (h history) hasOrphans(ctx context.Context, before time.Time) (orphans bool, err error) {
	err = h.db.Pool().QueryRow(ctx, `select exists (
		select from finished_default where id < uuid_floor($1) and finished_at < $1)`, before).Scan(&orphans)
	return orphans, storage.Translate("look for history without a partition", err)
}

// removeOrphans removes these executions with their attempts. Their objects must be gone.
func (h history) removeOrphans(ctx context.Context, before time.Time) error {
	err := h.inBatches(ctx, `with old as (
			select id from finished_default where id < uuid_floor($1) and finished_at < $1 order by id limit $2
		), tried as (
			delete from attempts_default where execution_id in (select id from old)
		)
		delete from finished_default where id in (select id from old)`, before, batchRows)
	return storage.Translate("remove history without a partition", err)
}

// forgetKeys removes the idempotency keys that are older than age.
func (h history) forgetKeys(ctx context.Context, age time.Duration) error {
	err := h.inBatches(ctx, `delete from idempotency_keys where (token, key) in (
		select token, key from idempotency_keys where created_at < now() - $1::interval order by created_at limit $2)`,
		age, batchRows)
	return storage.Translate("forget idempotency keys", err)
}

// inBatches repeats a statement that deletes at most batchRows rows until none is left.
func (h history) inBatches(ctx context.Context, sql string, args ...any) error {
	for {
		tag, err := h.db.Pool().Exec(ctx, sql, args...)
		if err != nil || tag.RowsAffected() < batchRows {
			return err
		}
	}
}
