package main

import (
	"context"
	_ "embed"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// unordered is a queue without order and limits on the same tables. Like most queues in PostgreSQL, it takes any rows
// with `for update skip locked`; it writes the same rows with as many commits. So the ratio is the price of contract
// 4. Submissions still count the entries of each queue, but before the clock starts.
type unordered struct{ *ownQueue }

var (
	//go:embed unordered_take.sql
	takeSQL string
	//go:embed unordered_finish.sql
	finishSQL string
)

// unorderedFinish is the largest number of completions that one statement records, as in the scheduler.
const unorderedFinish = 1000

// taken is a slot with an execution in it.
type taken struct {
	slot  int
	claim int64
}

// work runs jobs in one goroutine and records completions in another, so that the statements of both overlap.
func (q unordered) work(ctx context.Context, ran func()) (func() error, error) {
	_, err := q.connections().Exec(ctx, `insert into slots (worker, number) select $1, generate_series(1, $2)`, workerName,
		q.capacity)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	ended := make(chan taken, q.capacity)
	freed := make(chan int, q.capacity)
	freed <- q.capacity
	group.Go(func() error { return q.take(ctx, ran, ended, freed) })
	group.Go(func() error { return q.finish(ctx, ended, freed) })
	return func() error {
		cancel()
		if err := group.Wait(); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	}, nil
}

// take fills the free slots.
func (q unordered) take(ctx context.Context, ran func(), ended chan<- taken, freed <-chan int) error {
	free := 0
	for {
		select {
		case n := <-freed:
			free += n
		case <-ctx.Done():
			return nil
		}
		rows, err := q.connections().Query(ctx, takeSQL, workerName, min(free, unorderedFinish), rand.Int64())
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t taken, err error) {
			err = row.Scan(&t.slot, &t.claim, nil, nil)
			return t, err
		})
		if err != nil {
			return err
		}
		free -= len(all)
		for _, t := range all {
			ran()
			ended <- t
		}
	}
}

// finish records all completions that are ready with one statement.
func (q unordered) finish(ctx context.Context, ended <-chan taken, freed chan<- int) error {
	for {
		var slots []int
		var claims []int64
		select {
		case t := <-ended:
			slots, claims = append(slots, t.slot), append(claims, t.claim)
		case <-ctx.Done():
			return nil
		}
		for len(slots) < unorderedFinish && len(ended) > 0 {
			t := <-ended
			slots, claims = append(slots, t.slot), append(claims, t.claim)
		}
		if _, err := q.connections().Exec(ctx, finishSQL, workerName, slots, claims); err != nil {
			return err
		}
		freed <- len(slots)
	}
}
