package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"attune/bench/measure"
)

// run is one run of one side.
type run = func(context.Context, *measure.Clock) error

// runLimit ends a run that hangs.
const runLimit = 2 * time.Minute

// burndown measures how fast workers complete jobs that were all submitted before the clock starts. The clock stops
// when every completion is recorded in the database.
func burndown(q queue, jobs int) run {
	return func(ctx context.Context, clock *measure.Clock) (err error) {
		ctx, cancel := context.WithTimeout(ctx, runLimit)
		defer cancel()
		if err := errors.Join(q.reset(ctx), q.enqueue(ctx, jobs)); err != nil {
			return err
		}
		if _, err := q.connections().Exec(ctx, q.statements().analyze); err != nil {
			return err
		}
		all := newCountdown(jobs)
		if err := clock.Start(); err != nil {
			return err
		}
		stop, err := q.work(ctx, all.ran)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		if err := awaitRecorded(ctx, q, all); err != nil {
			return err
		}
		return errors.Join(clock.Stop(jobs), checkCompleted(ctx, q, jobs))
	}
}

// clients measures the throughput of clients that each submit a job, wait until its completion is recorded, and
// submit the next.
func clients(q queue, number, jobs int) run {
	return withClients(q, number, jobs, func(ctx context.Context) error {
		wait, err := q.submit(ctx)
		if err != nil {
			return err
		}
		return wait(ctx)
	})
}

// stream measures clients that do not wait: each submits the next job when the one before is durable. The clock stops
// when the last completion is recorded.
func stream(q queue, number, jobs int) run {
	return withClients(q, number, jobs, func(ctx context.Context) error {
		_, err := q.submit(ctx)
		return err
	})
}

func withClients(q queue, number, jobs int, one func(context.Context) error) run {
	each := jobs / number
	return func(ctx context.Context, clock *measure.Clock) (err error) {
		ctx, cancel := context.WithTimeout(ctx, runLimit)
		defer cancel()
		all := newCountdown(number*each + warmUp)
		stop, err := warm(ctx, q, all.ran)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		if err := clock.Start(); err != nil {
			return err
		}
		err = inParallel(number, func() error {
			for range each {
				if err := one(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := awaitRecorded(ctx, q, all); err != nil {
			return err
		}
		return errors.Join(clock.Stop(number*each), checkCompleted(ctx, q, number*each+warmUp))
	}
}

// idle measures how long one job takes from submission to recorded completion while there is no other.
func idle(q queue, jobs int) run {
	return func(ctx context.Context, clock *measure.Clock) (err error) {
		ctx, cancel := context.WithTimeout(ctx, runLimit)
		defer cancel()
		stop, err := warm(ctx, q, func() {})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		return timeEach(clock, jobs, func() error {
			wait, err := q.submit(ctx)
			if err != nil {
				return err
			}
			return wait(ctx)
		})
	}
}

// timeEach times each of the calls, one after the other.
func timeEach(clock *measure.Clock, calls int, fn func() error) error {
	if err := clock.Start(); err != nil {
		return err
	}
	times := make([]time.Duration, calls)
	for i := range times {
		begin := time.Now()
		if err := fn(); err != nil {
			return err
		}
		times[i] = time.Since(begin)
	}
	return clock.StopAt(times)
}

// warmUp is the number of jobs that run before the clock starts, so that connections are open and statements prepared.
const warmUp = 32

// warm removes all jobs, starts the workers, and runs the first jobs.
func warm(ctx context.Context, q queue, ran func()) (stop func() error, err error) {
	if err := q.reset(ctx); err != nil {
		return nil, err
	}
	stop, err = q.work(ctx, ran)
	if err != nil {
		return nil, err
	}
	err = inParallel(warmUp, func() error {
		wait, err := q.submit(ctx)
		if err != nil {
			return err
		}
		return wait(ctx)
	})
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// besideSnapshot holds a snapshot open during a run.
func besideSnapshot(q queue, other run) run {
	return func(ctx context.Context, clock *measure.Clock) error {
		conn, err := pgx.ConnectConfig(ctx, q.connections().Config().ConnConfig)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
			// The first statement takes the snapshot.
			if _, err := tx.Exec(ctx, `select`); err != nil {
				return err
			}
			return other(ctx, clock)
		})
	}
}
