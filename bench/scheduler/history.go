package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"attune/bench/measure"
)

// historyDays is the default retention of executions.
const historyDays = 30

// historyLine compares a queue with a long history and one whose history is empty before each run.
func (b *bench) historyLine(ctx context.Context) (measure.Comparison, error) {
	begin := time.Now()
	long, err := b.openOwn(ctx, ownActions, ownLimit, true)
	if err != nil {
		return measure.Comparison{}, err
	}
	if err := long.fillHistory(ctx, b.history); err != nil {
		return measure.Comparison{}, err
	}
	var size string
	if err := long.connections().QueryRow(ctx,
		`select pg_size_pretty(pg_database_size(current_database()))`).Scan(&size); err != nil {
		return measure.Comparison{}, err
	}
	b.note("History: %d executions of %d days, %s, made in %s", b.history, historyDays, size,
		time.Since(begin).Round(time.Second))
	return measure.Comparison{
		Pairs: b.pairs,
		A:     measure.Side{Name: "long", Run: burndown(long, burndownJobs)},
		B:     measure.Side{Name: "empty", Run: burndown(b.own, burndownJobs)},
	}, nil
}

// fillHistory inserts executions that finished during the last historyDays, the same number each day. It also vacuums
// the tables and writes a checkpoint, so that neither happens while the clock runs.
func (q *ownQueue) fillHistory(ctx context.Context, rows int) error {
	if _, err := q.connections().Exec(ctx, `select ensure_history((now() at time zone 'UTC')::date - ago)
		from generate_series(0, $1) ago`, historyDays-1); err != nil {
		return fmt.Errorf("make the partitions of history: %w", err)
	}
	var now time.Time
	if err := q.connections().QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return fmt.Errorf("ask the database for the time: %w", err)
	}
	now = now.UTC()
	today := now.Truncate(24 * time.Hour)
	var days atomic.Int64
	err := inParallel(runtime.NumCPU(), func() error {
		for ago := int(days.Add(1)) - 1; ago < historyDays; ago = int(days.Add(1)) - 1 {
			begins, lasts := today.AddDate(0, 0, -ago), 24*time.Hour
			if ago == 0 {
				lasts = now.Sub(today)
			}
			if err := q.fillDay(ctx, begins, lasts, rows*(ago+1)/historyDays-rows*ago/historyDays); err != nil {
				return fmt.Errorf("fill a day of history: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = q.connections().Exec(ctx, `checkpoint`)
	return err
}

// fillDay inserts rows like those of finish.sql, at regular intervals.
func (q *ownQueue) fillDay(ctx context.Context, begins time.Time, lasts time.Duration, rows int) error {
	_, err := q.connections().Exec(ctx, `
		insert into finished (id, queue_key, attempt, action, pack, pack_version, installation_id, image_digest,
		parameters, status,
			worker, created_at, scheduled_at, started_at, finished_at)
		select uuid_v7(at), '', 1, a.ref, a.pack, i.version, i.id, i.image_digest, json_build_object('n', n), 'completed',
			$1, at, at + interval '1 millisecond', at + interval '1 millisecond', at + interval '2 milliseconds'
		from generate_series(0, $2::integer - 1) n
		cross join lateral (select $3::timestamptz + $4::interval * n / $2 as at) submitted
		join actions a on a.ref = format('%s.a%s', $5::text, n % $6::integer)
		join installations i on i.id = a.installation_id`,
		workerName, rows, begins, lasts, packRef, q.actions)
	if err != nil {
		return err
	}
	_, err = q.connections().Exec(ctx, `vacuum (analyze) finished_`+begins.Format("20060102"))
	return err
}
